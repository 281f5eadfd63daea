"""Training of affect on tiny networks: how networks begin, what is learnt, and recipes."""

import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from torch.testing import assert_close

from handlers.networks.affect import AffectNetworks, build
from handlers.networks.combiner import GatedUnit
from handlers.networks.variants import EXPRESSIONS, variant
from handlers.training.affect.gating import GateBank, GateBatches, GateLearner
from handlers.training.affect.latent import LatentLearner, LatentLossWeights
from handlers.training.affect.losses import affect_loss, agreement, class_weights, quadrant_loss
from handlers.training.affect.sequences import FeatureClip, follow
from handlers.training.affect.single_recipe import load_affect
from handlers.training.affect.stages import begin_memory, start
from handlers.training.datasets.affect.pictures import NO_WORDS
from handlers.training.recipe import RecipeError, take_over
from handlers.training.train import read_recipe, train

SHORT = """
[schedule]
steps = {steps}
batch = 4
rate = 1e-3
seed = 1
warmup = 1
precision = "32-true"
save_every = 1
"""
FACES = '[[faces]]\nfolder = "expressions"\npart = "Training"\n'
SPEECH = '[[speech]]\nfolder = "speech"\nactors = ["01", "02"]\n'


def test_the_affect_loss_vanishes_where_estimates_are_the_labels() -> None:
    labels = torch.rand(50, 2) * 2 - 1
    assert affect_loss(labels, labels, torch.ones(50, 2)) < 1e-2


def test_agreement_is_what_the_equations_say() -> None:
    labels = torch.rand(200, 2, generator=torch.manual_seed(0)) * 2 - 1
    estimates = 0.5 * labels + 0.2 + 0.1 * torch.randn(200, 2)
    found = agreement(estimates, labels, torch.ones(200, 2))
    x, y = estimates[:, 0].numpy(), labels[:, 0].numpy()
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    concordance = 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert found.rmse[0] == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), abs=1e-4)
    assert found.cor[0] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-3)
    assert found.ccc[0] == pytest.approx(concordance, abs=1e-3)
    assert found.icc[0] == pytest.approx(2 * covariance / (x.var() + y.var()), abs=1e-3)


def test_a_sample_of_weight_two_counts_as_two() -> None:
    estimates, labels = torch.rand(6, 2), torch.rand(6, 2)
    weights = torch.ones(6, 2)
    weights[0] = 2
    doubled, both = (torch.cat([x, x[:1]]) for x in (estimates, labels))
    expected = affect_loss(doubled, both, torch.ones(7, 2))
    assert_close(affect_loss(estimates, labels, weights), expected)


@pytest.mark.parametrize(("power", "rare_counts"), [(1.0, "less"), (-1.0, "more"), (0.0, "same")])
def test_class_weights_follow_the_share_of_a_class(power: float, rare_counts: str) -> None:
    labels = np.array([[0.05, 0.05]] * 9 + [[0.9, 0.9]], np.float32)
    weights = class_weights(labels, power)
    assert weights.mean() == pytest.approx(1.0)
    common, rare = weights[0, 0], weights[-1, 0]
    assert {"less": rare < common, "more": rare > common, "same": rare == common}[rare_counts]


def test_quadrants_undecided_as_their_targets_cost_least() -> None:
    target = torch.full((1, 4), 0.25)
    assert quadrant_loss(torch.zeros(1, 4), target) < quadrant_loss(torch.eye(4)[:1] * 3, target)


def test_fooling_the_discriminator_moves_the_generator_alone() -> None:
    torch.manual_seed(0)
    networks = build(variant("vi-de", "tiny"))
    assert isinstance(networks, AffectNetworks)
    learner = LatentLearner(networks, LatentLossWeights())
    image = torch.rand(2, 3, 128, 128) * 2 - 1
    made = learner.branch.generator(image)[1]
    losses = learner._contest(image, made)
    losses["fooled"].backward()  # type: ignore[no-untyped-call]
    for parameter in learner.branch.discriminator.parameters():
        assert parameter.grad is None or float(parameter.grad.abs().max()) < 1e-6
    moved = [p.grad for p in learner.branch.generator.decoder.parameters() if p.grad is not None]
    assert max(float(grad.abs().max()) for grad in moved) > 1e-5


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight faces of FER+ and eight utterances of two actors of RAVDESS."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    (root / "expressions").mkdir()
    lines = [",".join(("Usage", "Image name", *EXPRESSIONS, *NO_WORDS))]
    with zipfile.ZipFile(root / "expressions" / "FER2013Train.zip", "w") as archive:
        for index in range(len(EXPRESSIONS)):
            picture = rng.integers(0, 256, (48, 48), dtype=np.uint8)
            archive.writestr(f"{index}.png", cv2.imencode(".png", picture)[1].tobytes())
            votes = ["10" if place == index else "0" for place in range(10)]
            lines.append(",".join(("Training", f"{index}.png", *votes)))
    (root / "expressions" / "fer2013new.csv").write_text("\n".join(lines) + "\n")
    (root / "speech").mkdir()
    for actor in ("01", "02"):
        for emotion in ("01", "03", "04", "05"):
            samples = 0.1 * rng.standard_normal(22050 * 2)
            name = f"03-01-{emotion}-01-01-01-{actor}.wav"
            soundfile.write(root / "speech" / name, samples, 22050)
    return root


def test_a_gate_is_taught_to_lean_to_the_healthy_side(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    networks = start(variant("avi-gas", "tiny"), single_frame_parts())
    good, worse = torch.rand(2, 20, networks.planes, 8, 8)
    batches = GateBatches(GateBank(good, worse + 1, good.flip(0), worse + 2))
    learner = GateLearner(networks)
    optimizer = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], 0.05)
    for _ in range(60):
        loss = learner(batches(rng, 8), 0.0)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    there = torch.ones(20, dtype=torch.bool)
    assert networks.fusion is not None
    faces = networks.fusion(good, good.flip(0), there, there).gate
    assert (networks.fusion(worse + 1, good.flip(0), there, there).gate < faces - 0.1).all()
    assert (networks.fusion(good, worse + 2, there, there).gate > faces + 0.1).all()


@pytest.mark.parametrize("wider", [1, 2])
def test_c_behind_an_open_gate_begins_as_c_of_the_mean_of_both(wider: int) -> None:
    parts = single_frame_parts()
    networks = start(variant("avi-gas", "tiny", wider=wider), parts)
    face, voice = 0.1 * torch.rand(2, 1, networks.planes, 32, 32)
    assert isinstance(networks.fusion, GatedUnit)
    for values in networks.fusion.gate.parameters():
        torch.nn.init.zeros_(values)
    expected = parts["face"].features((face + voice) / 2)
    found = networks.features(networks.join(face, voice).planes)
    assert_close(found, expected, atol=1e-4, rtol=1e-3)


def single_frame_parts() -> dict[str, AffectNetworks]:
    torch.manual_seed(0)
    parts = {}
    for modality, name in (("face", "vi-de"), ("voice", "au-de")):
        networks = build(variant(name, "tiny"))
        assert isinstance(networks, AffectNetworks)
        parts[modality] = networks
    return parts


def test_networks_over_time_begin_as_their_parts() -> None:
    parts = single_frame_parts()
    joined = start(variant("avi-gas", "tiny"), parts)
    image = torch.rand(2, 3, 128, 128)
    for modality, part in parts.items():
        assert_close(joined.encode(modality, image)[0], part.encode(modality, image)[0])


def test_side_by_side_twice_the_same_map_begins_as_the_single_modality() -> None:
    parts = single_frame_parts()
    joined = start(variant("avi-cas", "tiny"), parts)
    maps = torch.rand(2, joined.planes, 32, 32)
    assert_close(joined.features(joined.join(maps, maps).planes), parts["face"].features(maps))


def test_attention_added_to_a_trained_memory_changes_nothing_at_first(
    rng: np.random.Generator,
) -> None:
    torch.manual_seed(0)
    before = AffectNetworks(variant("vi-des", "tiny", states=0))
    after = AffectNetworks(variant("vi-des", "tiny"))
    take_over(after, before.state_dict(), "before")
    features = rng.standard_normal((30, 6)).astype(np.float32)
    clip = FeatureClip(features, np.full(30, -1.0, np.float32), np.zeros((30, 2), np.float32),
                       np.arange(30) % 5 > 0)  # fmt: skip
    assert_close(follow(before, clip), follow(after, clip))


def test_a_memory_begins_as_the_running_mean_of_single_frame_answers() -> None:
    torch.manual_seed(0)
    single = AffectNetworks(variant("vi-de", "tiny"))
    grown = AffectNetworks(variant("vi-des", "tiny"))
    begin_memory(grown.combiner, single.combiner)
    features = torch.randn(3, 1, 6)
    still = grown.sequence(features.expand(-1, 40, -1), grown.initial_memory(3)).estimate[:, -1]
    assert_close(still, single.step(features[:, 0], {}).estimate, atol=0.15, rtol=0)


@pytest.mark.slow
def test_recipes_of_either_kind_end_in_models_of_the_store(data: Path, tmp_path: Path) -> None:
    store, runs = tmp_path / "store", tmp_path / "runs"
    head = 'version = "1"\nabout = "a test"\nlicence = "none"\n'
    single = 'size = "tiny"\nnorm = "batch"\n'
    stages = "[[stages]]\nframes = 2\nsteps = 2\nbatch = 4\n"
    attention = "[[stages]]\nframes = 4\nsteps = 2\nbatch = 4\nattention = true\n"
    fusion = SHORT.format(steps=2).replace("[schedule]", "[fusion]")
    recipes = {
        "vi-de": head + single + SHORT.format(steps=2) + FACES,
        "au-de": head + single + SHORT.format(steps=2) + SPEECH,
        "avi-gas": "clips = 3\n" + head + fusion + FACES + SPEECH + stages + attention,
    }
    for name, text in recipes.items():
        path = tmp_path / f"{name}.toml"
        kind = "over-time" if "stages" in text else "single-frame"
        path.write_text(f'kind = "{kind}"\nname = "{name}"\n{text}')
        assert train(path, data, runs, store) == store / name
    networks, checkpoint = load_affect(store / "avi-gas")
    assert networks.config == variant("avi-gas", "tiny", norm="batch")
    assert checkpoint.config["context"] == 1.15
    assert set(checkpoint.config["parts"]) == {"vi-de", "au-de"}


def test_an_unknown_key_of_a_recipe_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "vi-de.toml"
    path.write_text(
        'kind = "single-frame"\nname = "vi-de"\nversion = "1"\nabout = ""\n'
        'licence = ""\nfaecs = 1\n' + SHORT.format(steps=1) + FACES
    )
    with pytest.raises(RecipeError, match=re.compile("faecs")):
        read_recipe(path)


def test_a_recipe_called_like_no_variant_is_refused(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    head = 'kind = "single-frame"\nname = "x"\nversion = "1"\nabout = ""\nlicence = ""\n'
    path.write_text(head + SHORT.format(steps=1) + FACES)
    with pytest.raises(RecipeError, match="no variant"):
        train(path, data, tmp_path, tmp_path)
