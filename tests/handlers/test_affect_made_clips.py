"""The data of affect: windows of sound, made clips, stretches that are degraded or taken away."""

import numpy as np
import pytest
from torch.testing import assert_close

from handlers.processing.mel import RATE_HZ as SAMPLES_A_SECOND
from handlers.processing.mel import WINDOW, Floats, level_db, mel_power
from handlers.training.affect.made.bank import show
from handlers.training.affect.made.clips import (
    FRAMES_A_SECOND,
    ActorPool,
    ClipEvents,
    ModalityHealth,
    make_clip,
)
from handlers.training.affect.made.speech import (
    DEGRADATIONS,
    Microphone,
    SpeechBatches,
    Voices,
    degrade_power,
    noise_alone,
    white,
    window_at,
)
from handlers.training.affect.sequences import FeatureClip, SequenceBatches
from handlers.training.datasets.affect.records import WORDS


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def cast() -> ActorPool:
    """A face of every word and an utterance of every word by two actors."""
    places = np.linspace(-0.7, 0.7, len(WORDS))
    labels = np.stack([places, -places], axis=1).astype(np.float32)
    return ActorPool(
        labels,
        WORDS,
        np.concatenate([labels, labels]),
        WORDS * 2,
        ("01",) * len(WORDS) + ("02",) * len(WORDS),
        np.full(2 * len(WORDS), 3.0, np.float32),
    )


@pytest.mark.parametrize("name", sorted(DEGRADATIONS))
def test_every_degradation_of_sound_changes_it_and_leaves_power(
    name: str, rng: np.random.Generator
) -> None:
    power = rng.exponential(1.0, (128, 128)).astype(np.float32)
    worse = degrade_power(power, rng, name)
    assert worse.shape == power.shape
    assert worse.min() >= 0
    assert np.abs(worse - power).max() > 0.1


def test_made_noise_has_the_power_and_the_flicker_of_real_noise(rng: np.random.Generator) -> None:
    real = mel_power(rng.standard_normal(20 * SAMPLES_A_SECOND, dtype=np.float32))[:, 2:-2]
    made = white(real.shape[1], rng)
    assert made.shape == real.shape
    assert_close(made.mean(axis=1), np.ones(128, np.float32), atol=0.15, rtol=0)
    flicker = real.std(axis=1) / real.mean(axis=1)
    assert_close(made.std(axis=1), flicker, atol=0.1, rtol=0.2)
    assert flicker[:20].mean() > 2 * flicker[-20:].mean()


def test_noise_in_place_of_a_voice_is_as_loud_as_any(rng: np.random.Generator) -> None:
    levels = np.array([level_db(noise_alone(WINDOW, rng)).mean() for _ in range(200)])
    assert -47 < levels.min() < -40
    assert -22 < levels.max() < -15


def test_a_window_beyond_the_utterance_is_not_heard() -> None:
    window = window_at(np.ones((128, 40), np.float32), column=0)
    assert not window[:, : WINDOW // 2].any()
    assert window[:, WINDOW // 2 : WINDOW // 2 + 40].all()
    assert not window[:, WINDOW // 2 + 40 :].any()


def test_half_heard_windows_end_at_the_floor_in_both_copies(rng: np.random.Generator) -> None:
    powers: tuple[Floats, ...] = (np.full((128, 300), 10.0, np.float32),)
    voices = Voices(powers, np.zeros((1, 2), np.float32), ("neutral",), ("01",))
    batch = SpeechBatches(voices, Microphone(half_heard=1.0, degraded=0.0), 0.0)(rng, 8)
    assert (batch["clean"][..., -1] == -1).any()
    assert_close(batch["clean"], batch["seen"])


def test_a_made_clip_goes_from_truth_to_truth_without_a_jump(rng: np.random.Generator) -> None:
    clip = make_clip(cast(), ClipEvents(), rng)
    rows = {len(part) for part in (clip.face, clip.voice, clip.heard_s, clip.face_health)}
    assert rows == {len(clip.labels)}
    assert np.abs(np.diff(clip.labels, axis=0)).max() < 2.0 / (0.8 * FRAMES_A_SECOND) * np.pi / 2
    assert np.ptp(clip.labels, axis=0).max() > 0.1


def test_a_made_clip_has_the_voice_of_one_actor_and_mostly_agreeing_faces() -> None:
    people = cast()
    clip = make_clip(people, ClipEvents(contradicting=0.0), np.random.default_rng(1))
    assert {people.actors[i] for i in clip.voice} == {clip.actor}
    for face, voice in zip(clip.face, clip.voice, strict=True):
        seen, heard = people.face_words[face], people.voice_words[voice]
        assert seen == ("neutral" if heard == "calm" else heard)


def test_stretches_never_take_both_modalities_and_leave_the_truth_alone() -> None:
    plot = ClipEvents(healthy_clips=0.0, stretches=6)
    clips = [make_clip(cast(), plot, np.random.default_rng(i)) for i in range(20)]
    assert not any(((c.face_health > 0) & (c.voice_health > 0)).any() for c in clips)
    assert any((c.face_health == ModalityHealth.MISSING).any() for c in clips)
    assert any((c.voice_health == ModalityHealth.DEGRADED).any() for c in clips)


def test_a_degraded_stretch_is_shown_in_one_degraded_form(rng: np.random.Generator) -> None:
    clip = make_clip(cast(), ClipEvents(healthy_clips=0.0, stretches=6), rng)
    shown = show(clip, rng)
    bad = clip.face_health == ModalityHealth.DEGRADED
    assert (shown.face[~bad, 1] < 2).all()
    assert len(set(shown.face[bad, 1].tolist())) <= 1
    assert (shown.has_face == (clip.face_health != ModalityHealth.MISSING)).all()


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
