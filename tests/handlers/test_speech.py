"""Where somebody speaks: streams equal wholes, states keep, what is no speech counts as none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.testing import assert_close

from handlers.evaluation.affect.hearing import made
from handlers.evaluation.affect.sounds import SOUNDS, tone
from handlers.networks.speech import SpeechMemory, SpeechNetwork
from handlers.networks.variants import SPEECH_CHUNK
from handlers.predictors.affect.speech import (
    CHUNK_S,
    PERIOD,
    REACH,
    TO_HZ,
    SpeechDetector,
    SpeechStream,
    resample,
)
from handlers.processing.mel import RATE_HZ
from handlers.store import load_speech_detector
from tests.spoken import speech

Pcm = NDArray[np.int16]

STORE = Path(__file__).parents[2] / "model_store"
MOST_STATE_BYTES = 8 * 1024


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return load_speech_detector(STORE)


@pytest.fixture(scope="module")
def spoken() -> Pcm:
    return speech(3.0)


def hear(detector: SpeechDetector, pcm: Pcm, stream: SpeechStream | None = None) -> SpeechStream:
    begun = stream or SpeechStream()
    return detector.hear(begun, pcm, begun.end)


@pytest.mark.parametrize("gain_db", [0, -20, -40])
@pytest.mark.parametrize("name", SOUNDS)
def test_what_only_sounds_is_no_speech(detector: SpeechDetector, name: str, gain_db: int) -> None:
    stream = hear(detector, made(gain_db, 3.0)[name])
    assert len(stream.speech) > 90
    assert not any(stream.speaks(time_s) for time_s in np.arange(0, 3, 0.04))


@pytest.mark.parametrize("gain_db", [0, -20, -40])
def test_a_voice_is_speech_however_loud(
    detector: SpeechDetector, spoken: Pcm, gain_db: int
) -> None:
    stream = hear(detector, (spoken * 10 ** (gain_db / 20)).astype(np.int16))
    assert all(stream.speaks(time_s) for time_s in np.arange(0, 3, 0.04))


def test_what_the_network_is_not_twice_sure_of_is_no_speech() -> None:
    times_s = np.arange(90) * CHUNK_S
    doubtful = np.full(90, 0.85, np.float32)
    assert not SpeechStream(times_s=times_s, speech=doubtful).speaks(1.5)
    doubtful[45] = 0.95
    assert not SpeechStream(times_s=times_s, speech=doubtful).speaks(1.5)
    doubtful[60] = 0.95
    assert SpeechStream(times_s=times_s, speech=doubtful).speaks(1.5)


def test_a_sentence_is_heard_as_often_as_it_is_said(detector: SpeechDetector) -> None:
    sentence = np.concatenate([speech(2.0), np.zeros(4 * RATE_HZ, np.int16)])
    stream = hear(detector, np.tile(sentence, 3))
    assert [stream.speaks(6.0 * time + 1.0) for time in range(3)] == [True] * 3
    assert [stream.speaks(6.0 * time + 4.0) for time in range(3)] == [False] * 3


def test_speech_counts_half_a_window_to_either_side_of_it(detector: SpeechDetector) -> None:
    pause = np.zeros(3 * RATE_HZ, np.int16)
    stream = hear(detector, np.concatenate([pause, speech(2.0), pause]))
    spoken = [stream.speaks(float(time_s)) for time_s in np.arange(0, 8, 0.1)]
    first, last = spoken.index(True) / 10, (len(spoken) - 1 - spoken[::-1].index(True)) / 10
    assert 1.5 < first < 2.5
    assert 5.5 < last < 6.5
    assert all(spoken[round(first * 10) : round(last * 10)])


def test_a_stream_in_pieces_equals_the_whole_and_keeps_in_its_state(
    detector: SpeechDetector, spoken: Pcm
) -> None:
    whole, pieces = hear(detector, spoken), SpeechStream()
    for begin in range(0, len(spoken), 1777):
        pieces = hear(detector, spoken[begin : begin + 1777], pieces)
        pieces = SpeechStream.from_tensors(pieces.to_tensors())
    assert (pieces.end, pieces.next_s) == (whole.end, pytest.approx(whole.next_s))
    assert_close(torch.tensor(pieces.speech), torch.tensor(whole.speech), atol=1e-4, rtol=0)
    assert_close(torch.tensor(pieces.times_s), torch.tensor(whole.times_s))


def test_what_was_heard_already_is_dropped(detector: SpeechDetector, spoken: Pcm) -> None:
    half = hear(detector, spoken[:30_000])
    joined = detector.hear(half, spoken[20_000:], 20_000)
    whole = hear(detector, spoken)
    assert_close(torch.tensor(joined.speech), torch.tensor(whole.speech), atol=1e-4, rtol=0)
    assert hear(detector, spoken[:0], half) is half


def test_after_a_gap_the_network_starts_anew(detector: SpeechDetector, spoken: Pcm) -> None:
    before, start = hear(detector, spoken[:RATE_HZ]), 4 * RATE_HZ
    after = detector.hear(before, spoken, start)
    fresh = hear(detector, spoken)
    assert_close(torch.tensor(after.speech[len(before.speech) :]), torch.tensor(fresh.speech))
    assert after.times_s[len(before.speech)] == pytest.approx(4.0)
    assert not after.speaks(2.6)


def test_two_interleaved_streams_equal_two_separate_ones(
    detector: SpeechDetector, spoken: Pcm
) -> None:
    other = speech(3.0, seed=2)
    one = two = SpeechStream()
    for begin in range(0, len(spoken), 5000):
        one = hear(detector, spoken[begin : begin + 5000], one)
        two = hear(detector, other[begin : begin + 5000], two)
    for stream, pcm in ((one, spoken), (two, other)):
        alone = torch.tensor(hear(detector, pcm).speech)
        assert_close(torch.tensor(stream.speech), alone, atol=1e-4, rtol=0)


def test_a_state_is_small_and_forgets_what_no_window_needs(detector: SpeechDetector) -> None:
    stream = hear(detector, np.zeros(20 * RATE_HZ, np.int16)).forget_before(19.0)
    assert stream.times_s[0] >= 19.0 - 1.49 - CHUNK_S
    tensors = hear(detector, np.zeros(20 * RATE_HZ, np.int16)).to_tensors()
    assert sum(one.nbytes for one in tensors.values()) <= MOST_STATE_BYTES


def test_a_state_of_another_making_is_refused() -> None:
    tensors = SpeechStream().to_tensors()
    with pytest.raises(ValueError, match="begin at"):
        SpeechStream.from_tensors({**tensors, "speech": np.zeros(3)})
    with pytest.raises(KeyError):
        SpeechStream.from_tensors({"speech": np.zeros(0)})


def test_the_network_hears_chunks_one_by_one_as_it_hears_them_together() -> None:
    torch.manual_seed(0)
    network = SpeechNetwork().eval()
    chunks = torch.randn(5, SPEECH_CHUNK)
    with torch.inference_mode():
        together, last = network(chunks, SpeechMemory.at_start())
        memory, apart = SpeechMemory.at_start(), []
        for chunk in chunks:
            answer, memory = network(chunk[None], memory)
            apart.append(answer)
    assert_close(torch.cat(apart), together)
    assert_close(memory.tensors(), last.tensors())


@pytest.mark.parametrize(("hz", "kept_db"), [(100, 0), (3000, 0), (6000, 0), (9000, -60)])
def test_resampling_keeps_what_both_rates_can_hold_and_nothing_else(
    hz: float, kept_db: float
) -> None:
    sound = tone(1.0, hz, 1.0).astype(np.float32)
    resampled = resample(np.pad(sound, REACH))
    inner = resampled[500:-500]
    level_db = 10 * np.log10(np.mean(np.square(inner)) * 2)
    assert len(resampled) == len(sound) // PERIOD * PERIOD * TO_HZ // RATE_HZ
    assert abs(level_db) < 0.1 if kept_db == 0 else level_db < kept_db
