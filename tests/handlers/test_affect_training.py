"""Training of affect on tiny networks and made data: losses, labels, clips, and what is learnt."""

import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from torch.testing import assert_close

from handlers.affect_setup import load_affect
from handlers.networks.affect import AffectNetworks, build, variant
from handlers.processing.mel import WINDOW, Floats
from handlers.training.affect.bank import show
from handlers.training.affect.gating import GateBank, GateBatches, gate_loss
from handlers.training.affect.latent import LatentLearner, Weighing
from handlers.training.affect.losses import (
    affect_loss,
    agreement,
    class_weights,
    quadrant_loss,
)
from handlers.training.affect.recipe import read_affect_recipe
from handlers.training.affect.sequences import FeatureClip, SequenceBatches, follow
from handlers.training.affect.spectrograms import DEGRADATIONS, degrade_power
from handlers.training.affect.speech import Recording, SpeechBatches, Voices, window_at
from handlers.training.affect.stages import begin_memory, start, take_over
from handlers.training.datasets.affect.circumplex import WORDS
from handlers.training.datasets.affect.clips import RATE_HZ, Cast, Health, Plot, make_clip
from handlers.training.datasets.affect.ferplus import NO_WORDS
from handlers.training.datasets.affect.ferplus import WORDS as FACE_WORDS
from handlers.training.recipe import RecipeError
from handlers.training.train import train

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
SPEECH = '[speech]\nfolder = "speech"\nactors = ["01", "02"]\n'


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven faces of FER+ and eight utterances of two actors of RAVDESS."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    (root / "expressions").mkdir()
    lines = [",".join(("Usage", "Image name", *FACE_WORDS, *NO_WORDS))]
    with zipfile.ZipFile(root / "expressions" / "FER2013Train.zip", "w") as archive:
        for index in range(len(FACE_WORDS)):
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


def cast() -> Cast:
    """A face of every word and an utterance of every word by two actors."""
    places = np.linspace(-0.7, 0.7, len(WORDS))
    labels = np.stack([places, -places], axis=1).astype(np.float32)
    return Cast(
        labels,
        WORDS,
        np.concatenate([labels, labels]),
        WORDS * 2,
        ("01",) * len(WORDS) + ("02",) * len(WORDS),
        np.full(2 * len(WORDS), 3.0, np.float32),
    )


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
    learner = LatentLearner(networks, Weighing())
    image = torch.rand(2, 3, 128, 128) * 2 - 1
    made = learner.branch.generator(image)[1]
    losses = learner._contest(image, made)
    losses["fooled"].backward()  # type: ignore[no-untyped-call]
    for parameter in learner.branch.discriminator.parameters():
        assert parameter.grad is None or float(parameter.grad.abs().max()) < 1e-6
    moved = [p.grad for p in learner.branch.generator.decoder.parameters() if p.grad is not None]
    assert max(float(grad.abs().max()) for grad in moved) > 1e-5


@pytest.mark.parametrize("name", sorted(DEGRADATIONS))
def test_every_degradation_of_sound_changes_it_and_leaves_power(
    name: str, rng: np.random.Generator
) -> None:
    power = rng.exponential(1.0, (128, 128)).astype(np.float32)
    worse = degrade_power(power, rng, name)
    assert worse.shape == power.shape
    assert worse.min() >= 0
    assert np.abs(worse - power).max() > 0.1


def test_a_window_beyond_the_utterance_is_not_heard() -> None:
    window = window_at(np.ones((128, 40), np.float32), column=0)
    assert not window[:, : WINDOW // 2].any()
    assert window[:, WINDOW // 2 : WINDOW // 2 + 40].all()
    assert not window[:, WINDOW // 2 + 40 :].any()


def test_half_heard_windows_end_at_the_floor_in_both_copies(rng: np.random.Generator) -> None:
    powers: tuple[Floats, ...] = (np.full((128, 300), 10.0, np.float32),)
    voices = Voices(powers, np.zeros((1, 2), np.float32), ("neutral",), ("01",))
    batch = SpeechBatches(voices, Recording(half_heard=1.0, degraded=0.0), 0.0)(rng, 8)
    assert (batch["clean"][..., -1] == -1).any()
    assert_close(batch["clean"], batch["seen"])


def test_a_made_clip_goes_from_truth_to_truth_without_a_jump(rng: np.random.Generator) -> None:
    clip = make_clip(cast(), Plot(), rng)
    rows = {len(part) for part in (clip.face, clip.voice, clip.heard_s, clip.face_health)}
    assert rows == {len(clip.labels)}
    assert np.abs(np.diff(clip.labels, axis=0)).max() < 2.0 / (0.8 * RATE_HZ) * np.pi / 2
    assert np.ptp(clip.labels, axis=0).max() > 0.1


def test_a_made_clip_has_the_voice_of_one_actor_and_mostly_agreeing_faces() -> None:
    people = cast()
    clip = make_clip(people, Plot(contradicting=0.0), np.random.default_rng(1))
    assert {people.actors[i] for i in clip.voice} == {clip.actor}
    for face, voice in zip(clip.face, clip.voice, strict=True):
        seen, heard = people.face_words[face], people.voice_words[voice]
        assert seen == ("neutral" if heard == "calm" else heard)


def test_stretches_never_take_both_modalities_and_leave_the_truth_alone() -> None:
    plot = Plot(healthy_clips=0.0, stretches=6)
    clips = [make_clip(cast(), plot, np.random.default_rng(i)) for i in range(20)]
    assert not any(((c.face_health > 0) & (c.voice_health > 0)).any() for c in clips)
    assert any((c.face_health == Health.MISSING).any() for c in clips)
    assert any((c.voice_health == Health.DEGRADED).any() for c in clips)


def test_a_gate_is_taught_to_lean_to_the_healthy_side(rng: np.random.Generator) -> None:
    maps = [torch.full((5, 2, 1, 1), float(value)) for value in range(4)]
    batch = GateBatches(GateBank(*maps))(rng, 9)
    assert batch["face"].flatten(1)[:, 0].tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 3
    assert batch["voice"].flatten(1)[:, 0].tolist() == [2.0] * 6 + [3.0] * 3
    middle, to_voice, to_face = batch["gate"][::3].tolist()
    assert to_voice < middle < to_face
    assert gate_loss(batch["gate"], batch["gate"]) < gate_loss(1 - batch["gate"], batch["gate"])


def test_a_degraded_stretch_is_shown_in_one_degraded_form(rng: np.random.Generator) -> None:
    clip = make_clip(cast(), Plot(healthy_clips=0.0, stretches=6), rng)
    shown = show(clip, rng)
    bad = clip.face_health == Health.DEGRADED
    assert (shown.face[~bad, 1] < 2).all()
    assert len(set(shown.face[bad, 1].tolist())) <= 1
    assert (shown.has_face == (clip.face_health != Health.MISSING)).all()


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
    take_over(after, before)
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


def test_runs_of_clips_have_the_length_asked_for_at_any_rate(rng: np.random.Generator) -> None:
    length = 50
    clip = FeatureClip(
        np.arange(length, dtype=np.float32)[:, None],
        np.zeros(length, np.float32),
        np.zeros((length, 2), np.float32),
        np.ones(length, np.bool_),
    )
    batch = SequenceBatches([clip], 8)(rng, 40)
    steps = np.diff(batch["features"][..., 0].numpy(), axis=1)
    assert batch["label"].shape == (40, 8, 2)
    assert set(np.unique(steps)) > {1.0, 2.0}
    assert (steps == steps[:, :1]).all()


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
        path.write_text(f'name = "{name}"\n{text}')
        assert train(path, data, runs, store) == store / name
    networks, checkpoint = load_affect(store / "avi-gas")
    assert networks.config == variant("avi-gas", "tiny", norm="batch")
    assert checkpoint.config["context"] == 1.25
    assert set(checkpoint.config["parts"]) == {"vi-de", "au-de"}


def test_an_unknown_key_of_a_recipe_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "vi-de.toml"
    path.write_text(
        'name = "vi-de"\nversion = "1"\nabout = ""\nlicence = ""\nfaecs = 1\n'
        + SHORT.format(steps=1)
        + FACES
    )
    with pytest.raises(RecipeError, match=re.compile("faecs")):
        read_affect_recipe(path)


def test_a_recipe_called_like_no_variant_is_refused(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    head = 'name = "x"\nversion = "1"\nabout = ""\nlicence = ""\n'
    path.write_text(head + SHORT.format(steps=1) + FACES)
    with pytest.raises(RecipeError, match="no variant"):
        train(path, data, tmp_path, tmp_path)
