"""Raw sound and its eGeMAPS descriptors: pieces as they come, holes, silence, the missing extra."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from handlers.predictors.affect.estimator import DescriptorScale, hear_descriptors
from handlers.predictors.affect.run import AffectRow, Heard
from handlers.processing.audio_descriptors import KEPT, REACH, PcmStream, descriptors, is_silent
from handlers.processing.mel import RATE_HZ
from tests.handlers.affect_fakes import frame, parts, save, voice
from tests.needs import OPENSMILE


def heard(*pieces: tuple[int, int]) -> PcmStream:
    """A stream that heard samples `begin` to `end` of the one voice, piece by piece."""
    whole, stream = voice(4.0), PcmStream()
    for begin, end in pieces:
        stream = stream.push(whole[begin:end], begin)
    return stream


def test_pieces_give_what_the_whole_gives() -> None:
    whole, pieces = heard((0, 40_000)), heard((0, 500), (400, 9000), (9000, 40_000))
    assert_array_equal(whole.around(1.0), pieces.around(1.0))
    assert_array_equal(whole.around(1.0), voice(4.0)[RATE_HZ - REACH : RATE_HZ + REACH])


def test_what_was_not_all_heard_is_none() -> None:
    stream = heard((0, 30_000))
    assert stream.around(0.01) is None
    assert stream.around(30_000 / RATE_HZ) is None
    assert stream.around(1.3) is not None


def test_behind_a_gap_the_memory_starts_anew() -> None:
    stream = heard((0, 20_000), (30_000, 60_000))
    assert stream.around(0.5) is None
    assert stream.around(1.1) is None
    assert_array_equal(stream.around(2.0), voice(4.0)[2 * RATE_HZ - REACH : 2 * RATE_HZ + REACH])


def test_a_hole_of_rounded_times_is_passed_over() -> None:
    assert heard((0, 20_000), (20_020, 40_000)).around(20_000 / RATE_HZ) is not None


def test_the_state_keeps_the_newest_sound() -> None:
    stream = heard((0, 80_000))
    kept = PcmStream.from_tensors(stream.to_tensors())
    assert len(kept.samples) == KEPT
    assert_array_equal(kept.around(3.0), stream.around(3.0))
    assert len(stream.forget_before(3.0).samples) < KEPT
    assert_array_equal(stream.forget_before(3.0).around(3.0), stream.around(3.0))


def test_a_state_of_another_making_is_refused() -> None:
    tensors = PcmStream().to_tensors()
    with pytest.raises(ValueError, match="samples"):
        PcmStream.from_tensors({**tensors, "pcm": tensors["pcm"].astype(np.float32)})


def test_rooms_without_speech_are_silent() -> None:
    rng = np.random.default_rng(0)
    assert is_silent(np.zeros(100, np.int16))
    assert is_silent(rng.integers(-30, 30, 2646).astype(np.int16))
    assert not is_silent(voice(0.12, start_s=1.0))


@OPENSMILE.mark
def test_descriptors_are_two_sets_of_twenty_five() -> None:
    quiet, loud = (descriptors((voice(0.12, start_s=1.0) / by).astype(np.int16)) for by in (8, 1))
    assert quiet.shape == (50,)
    assert quiet.dtype == np.float32
    assert loud[0] > 2 * quiet[0]


@OPENSMILE.mark
def test_heard_descriptors_are_deviations_from_the_mean() -> None:
    stream = heard((0, 40_000))
    pcm = stream.around(1.0)
    assert pcm is not None
    values = descriptors(pcm)
    scale = DescriptorScale(values, np.ones(50, np.float32))
    assert_array_equal(hear_descriptors(stream, 1.0, scale), np.zeros(50, np.float32))
    assert hear_descriptors(PcmStream(), 1.0, scale) is None


@OPENSMILE.mark
def test_the_conditioned_discriminator_is_served(tmp_path: Path) -> None:
    save(tmp_path / "aeg-cd-sz")
    predictor = parts(tmp_path, "aeg-cd-sz").predictor
    row = AffectRow([frame(0)], [1.0], Heard(0, voice(1.2)), None, "aeg-cd-sz")
    (first,), (deaf,) = (
        result.frames for result in predictor.step([row, replace(row, sound=None)])
    )
    assert (first.used, deaf.used) == (("face", "voice"), ("face",))
    assert first.valence != deaf.valence
