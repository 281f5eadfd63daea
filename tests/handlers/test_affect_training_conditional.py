"""Chapter 5 learnt on tiny networks and made data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn
from torch.testing import assert_close

from handlers.networks.affect import ConditionalNetworks, build
from handlers.networks.variants import variant
from handlers.processing.audio_descriptors import DESCRIPTORS, REACH, is_silent
from handlers.processing.mel import RATE_HZ
from handlers.training.affect.descriptions import (
    Descriptions,
    Hearing,
    HearingBatches,
    describe,
    windows_of,
)
from handlers.training.affect.latent import (
    ConditionalLearner,
    ConditionalLossWeights,
    PlainLearner,
    estimate_loss,
)
from handlers.training.affect.losses import affect_loss, agreement
from handlers.training.affect.made.faces import FaceBatches, FaceJitter, WeightedFaces
from handlers.training.datasets.affect.records import WORDS, AffectFaces, Utterance
from handlers.training.loop import Batch
from tests.needs import OPENSMILE

SILENCE = np.zeros(RATE_HZ, np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def networks(name: str) -> ConditionalNetworks:
    torch.manual_seed(0)
    found = build(variant(name, "tiny", norm="batch"))
    assert isinstance(found, ConditionalNetworks)
    return found


def bright(rows: int = 8) -> Batch:
    """Pictures whose light from the left says valence, from the right arousal."""
    label = torch.rand(rows, 2, generator=torch.manual_seed(1)) * 1.6 - 0.8
    image = label[:, None, None, :].expand(-1, 3, 128, -1).repeat_interleave(64, dim=3)
    return {"seen": image, "clean": image, "label": label, "weight": torch.ones(rows, 2)}


def heard(batch: Batch) -> Batch:
    """The batch with descriptors of one sound."""
    return {**batch, "heard": torch.randn(1, DESCRIPTORS).expand(len(batch["label"]), -1)}


def learn(learner: nn.Module, batch: Batch, steps: int) -> list[float]:
    """The affect loss of every step."""
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2)
    found = []
    for _ in range(steps):
        losses = learner(batch, 0.0)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        found.append(float(losses["affect"].detach()))
    return found


def moved(module: nn.Module) -> float:
    """The largest gradient in a module."""
    grads = [p.grad.abs().max() for p in module.parameters() if p.grad is not None]
    return float(max(grads, default=torch.zeros(())))


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


def faces_of(words: tuple[str, ...]) -> FaceBatches:
    labels = np.full((len(words), 2), 0.5, np.float32)
    images = np.zeros((len(words), 48, 48), np.uint8)
    faces = AffectFaces(
        images, np.full((len(words), 8), 1 / 8, np.float32), labels, words, (None,) * len(words)
    )
    return FaceBatches([WeightedFaces(faces, 1.0)], FaceJitter(), None, 0.0)


def spoken(*words: str) -> Descriptions:
    """Two windows of each word; the labels are the word's place in the list, negative."""
    places = np.repeat(np.arange(len(words), dtype=np.float32), 2)
    values = np.random.default_rng(0).standard_normal((len(places), DESCRIPTORS))
    labels = np.asarray(-np.stack([places, places], axis=1) / 10, np.float32)
    return Descriptions(values.astype(np.float32), labels, tuple(w for w in words for _ in "ab"))


def test_the_loss_of_chapter_5_lacks_the_intra_class_term() -> None:
    estimates, labels, weights = torch.rand(20, 2), torch.rand(20, 2), torch.ones(20, 2)
    icc = agreement(estimates, labels, weights).icc
    whole = affect_loss(estimates, labels, weights)
    assert_close(estimate_loss(estimates, labels, weights), whole - (1 - icc).mean())


def test_the_plain_discriminator_learns_by_the_squared_error() -> None:
    batch, learner = bright(), PlainLearner(networks("disc"))
    estimate = learner.networks(batch["seen"]).estimate
    assert_close(learner(batch, 0.0)["loss"], ((estimate - batch["label"]) ** 2).mean())
    losses = learn(learner, batch, 40)
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aeg-cd", "aeg-cd-sz"])
def test_generator_and_discriminator_learn_what_a_picture_shows(name: str) -> None:
    losses = learn(
        ConditionalLearner(networks(name), ConditionalLossWeights()), heard(bright()), 30
    )
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", ["aeg-cd", "aeg-cd-sz"])
def test_judging_moves_the_discriminator_alone(name: str) -> None:
    learner = ConditionalLearner(networks(name), ConditionalLossWeights())
    batch = heard(bright(4))
    total(learner.judging(batch, *learner.generator(batch["seen"]))).backward()  # type: ignore[no-untyped-call]
    assert moved(learner.generator) == 0
    assert moved(learner.networks.discriminator) > 1e-4


@pytest.mark.parametrize("name", ["aeg-cd", "aeg-cd-sz"])
def test_making_moves_the_generator_alone(name: str) -> None:
    learner = ConditionalLearner(networks(name), ConditionalLossWeights())
    batch = heard(bright(4))
    total(learner.making(batch, *learner.generator(batch["seen"]))).backward()  # type: ignore[no-untyped-call]
    assert moved(learner.networks.discriminator) == 0
    assert moved(learner.generator) > 1e-4


@pytest.mark.parametrize(("loss", "from_z"), [("pleased", True), ("picture", False)])
def test_the_generator_is_taught_through_picture_and_latent(loss: str, from_z: bool) -> None:
    learner = ConditionalLearner(networks("aeg-cd-sz"), ConditionalLossWeights())
    batch = heard(bright(4))
    z, cleaned = (one.detach().requires_grad_() for one in learner.generator(batch["seen"]))
    learner.making(batch, z, cleaned)[loss].backward()  # type: ignore[no-untyped-call]
    assert cleaned.grad is not None
    assert (z.grad is not None) == from_z


def test_the_cycle_goes_through_the_generator_twice() -> None:
    learner = ConditionalLearner(networks("aeg-cd"), ConditionalLossWeights(cycled=1.0))
    batch = bright(4)
    z, cleaned = learner.generator(batch["seen"])
    again = learner.generator(cleaned)[1]
    expected = (again - batch["clean"]).abs().mean()
    assert_close(learner.making(batch, z, cleaned)["cycle"], expected)


@pytest.mark.slow
def test_sound_alone_can_be_learnt_where_it_says_it_all() -> None:
    batch = bright()
    sound = torch.randn(8, DESCRIPTORS, generator=torch.manual_seed(2))
    blank = torch.zeros_like(batch["seen"])
    label = torch.tanh(sound[:, :2])
    batch = {**batch, "seen": blank, "clean": blank, "heard": sound, "label": label}
    losses = learn(ConditionalLearner(networks("aeg-cd-sz"), ConditionalLossWeights()), batch, 30)
    assert losses[-1] < 0.7 * losses[0]


def test_faces_hear_their_own_word_and_have_the_mean_label(rng: np.random.Generator) -> None:
    said = spoken("anger", "calm", "sadness")
    batches = HearingBatches(faces_of(("anger", "neutral", "fear")), said, deaf=0.0)
    batch = batches(rng, 60)
    for word, label, sound in zip(batch["word"], batch["label"], batch["heard"], strict=True):
        place = {"anger": 0, "neutral": 1}.get(WORDS[int(word)])
        if place is None:
            assert_close(label, torch.full((2,), 0.5))
            assert not sound.any()
            continue
        assert_close(label, torch.full((2,), (0.5 - place / 10) / 2))
        rows = said.scale().apply(said.values[2 * place : 2 * place + 2])
        assert any(np.allclose(sound.numpy(), row) for row in rows)


def test_a_face_without_sound_keeps_its_label(rng: np.random.Generator) -> None:
    batch = HearingBatches(faces_of(("anger",)), spoken("anger"), deaf=1.0)(rng, 20)
    assert not batch["heard"].any()
    assert (batch["label"] == 0.5).all()


def test_silent_parts_of_an_utterance_are_not_heard(rng: np.random.Generator) -> None:
    loud = rng.normal(0, 0.1, RATE_HZ // 2).astype(np.float32)
    samples = np.concatenate([SILENCE, loud, SILENCE])
    pieces = windows_of(samples, Hearing(windows=6), rng)
    assert len(pieces) == 6
    assert all(len(one) == 2 * REACH and not is_silent(one) for one in pieces)
    assert windows_of(SILENCE, Hearing(), rng) == []
    assert windows_of(loud[:REACH], Hearing(), rng) == []


def utterance(word: str) -> Utterance:
    return Utterance(Path("none.wav"), "01", word, 0.3, -0.2)


@OPENSMILE.mark
def test_descriptions_are_the_same_every_time(rng: np.random.Generator) -> None:
    noise = rng.normal(0, 0.1, RATE_HZ).astype(np.float32)
    first, again = (describe([(utterance("calm"), noise)], Hearing(windows=3)) for _ in "ab")
    assert first.values.shape == (3, DESCRIPTORS)
    assert first.words == ("calm",) * 3
    assert_allclose(first.labels, np.array([[0.3, -0.2]] * 3, np.float32))
    assert_array_equal(first.values, again.values)


def test_nothing_but_silence_cannot_be_described() -> None:
    with pytest.raises(ValueError, match="silent"):
        describe([(utterance("calm"), SILENCE)], Hearing())
