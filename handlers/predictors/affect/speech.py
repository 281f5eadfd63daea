"""Sound that comes piece by piece -> where somebody speaks, and the state between pieces."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import Engine, carried
from handlers.networks.variants import SPEECH_CHUNK, SPEECH_CONTEXT
from handlers.processing.mel import HOP, RATE_HZ, WINDOW, pcm_to_samples
from handlers.processing.mel_stream import BRIDGED_SAMPLES

Floats = NDArray[np.float32]
FROM_HZ, TO_HZ = 22_050, 16_000
# So many samples become so many others.
PERIOD, RESAMPLED = 441, 320
# How far the filter reaches to either side of a new sample, in samples of what comes.
REACH = 22
# The middle of its slope, as a share of half the new rate.
CUTOFF = 0.94
KAISER_BETA = 8.0
Pcm = NDArray[np.int16]
Times = NDArray[np.float64]
Memory = Mapping[str, Floats]
CHUNK_S = SPEECH_CHUNK / TO_HZ
# The window that belongs to a picture reaches so far to either side of it.
WINDOW_REACH_S = WINDOW * HOP / RATE_HZ / 2
# Speech is where the network is so sure of so many chunks of a window: of music, knocks and calls
# of animals that begin it is now and then half sure, or sure of one chunk.
SURE, LEAST_CHUNKS = 0.9, 2
# What `forget_before` leaves at most: as long as Mel columns are kept.
KEPT_CHUNKS = 157
REMEMBERED = {"h": 128, "c": 128, "context": SPEECH_CONTEXT, "level": 1}
# Faint sound is made so loud (root mean square of its loudest chunk of late) before it is judged,
# by no more than 40 dB; what is louder stays as it is. A loud chunk counts half after 10 s.
LOUD, LARGEST_GAIN, FADING = 0.03, 100.0, 0.5 ** (CHUNK_S / 10)
MOST_CHUNKS = round(60 / CHUNK_S)


def resample(samples: Floats) -> Floats:
    """Turn samples at 22 050 Hz into those at 16 kHz, as many whole periods as there are.

    The first new sample lies at `samples[22]`. Of n new periods the first 441 n samples are used
    up; the others are needed again before what comes next.
    """
    periods = max((len(samples) - 2 * REACH) // PERIOD, 0)
    if periods == 0:
        return np.zeros(0, np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(samples, PERIOD + 2 * REACH)
    resampled = pieces[::PERIOD][:periods] @ _filters()
    return np.asarray(resampled.reshape(-1), np.float32)


@cache
def _filters() -> Floats:
    """Return weights `(485, 320)` of the samples around every new one: sincs under Kaiser's
    window."""
    places = REACH + np.arange(RESAMPLED) * PERIOD / RESAMPLED
    away = np.arange(PERIOD + 2 * REACH)[:, None] - places
    cutoff = CUTOFF * TO_HZ / FROM_HZ
    inside = np.sqrt(np.clip(1 - np.square(away / REACH), 0, None))
    window = np.i0(KAISER_BETA * inside) * (np.abs(away) < REACH)
    weights = window * np.sinc(cutoff * away)
    return np.asarray(weights / weights.sum(axis=0), np.float32)


@dataclass(frozen=True)
class SpeechStream:
    """The speech known of a stream.

    `speech` `(N,)` are probabilities of chunks of 32 ms that begin at `times_s` `(N,)`. The next
    chunk begins at `next_s`: `waiting` are its samples at 16 kHz so far, `tail` those at 22 050 Hz
    before `end` that are not resampled yet. `memory` holds the network's `h` and `c` `(128,)`, and
    the last samples `context` `(64,)` before the next chunk.
    """

    end: int = 0
    next_s: float = 0.0
    tail: Pcm = field(default_factory=lambda: np.zeros(REACH, np.int16))
    waiting: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    memory: Memory = field(default_factory=lambda: _at_start())
    times_s: Times = field(default_factory=lambda: np.zeros(0, np.float64))
    speech: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def speaks(self, time_s: float) -> bool:
        """Tell whether there is speech in the window of 2.97 s around a time, as far as heard."""
        inside = np.abs(self.times_s + CHUNK_S / 2 - time_s) <= WINDOW_REACH_S
        return bool(np.count_nonzero(self.speech[inside] >= SURE) >= LEAST_CHUNKS)

    def forget_before(self, time_s: float) -> "SpeechStream":
        """Keep what windows at this time and later need, of more than 5 s the newest 5 s."""
        needed = int(np.count_nonzero(self.times_s + CHUNK_S >= time_s - WINDOW_REACH_S))
        return self.newest(min(needed, KEPT_CHUNKS))

    def newest(self, chunks: int) -> "SpeechStream":
        """Keep the newest chunks, so many at most."""
        old = max(len(self.speech) - chunks, 0)
        return replace(self, times_s=self.times_s[old:], speech=self.speech[old:])

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return the state, at most 8 KiB."""
        kept = self.newest(KEPT_CHUNKS)
        return {
            "speech_end": np.array([self.end]),
            "speech_times_s": np.append(kept.times_s, self.next_s),
            "speech_tail": self.tail,
            "speech_waiting": self.waiting,
            **{f"speech_{name}": one for name, one in self.memory.items()},
            "speech": kept.speech,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> "SpeechStream":
        """Read what `to_tensors` gave; raises KeyError or ValueError for other tensors."""
        memory = {name: tensors[f"speech_{name}"] for name in REMEMBERED}
        times_s, speech = tensors["speech_times_s"], tensors["speech"]
        tail, waiting = tensors["speech_tail"], tensors["speech_waiting"]
        if (
            times_s.shape != (len(speech) + 1,)
            or tail.dtype != np.int16
            or len(waiting) >= SPEECH_CHUNK
        ):
            raise ValueError(f"chunks {speech.shape} begin at {times_s.shape}, tail {tail.shape}")
        end = int(tensors["speech_end"].item())
        return cls(end, float(times_s[-1]), tail, waiting, memory, times_s[:-1], speech)


class SpeechDetector:
    """A network for chunks of 32 ms applied to streams; holds nothing of any."""

    def __init__(self, engine: Engine) -> None:
        """Take `engine`, which has the parts of `networks.speech.SpeechNetwork`."""
        self.engine = engine

    def hear(self, stream: SpeechStream, pcm: Pcm, start: int) -> SpeechStream:
        """Return the stream after `(N,)` samples at 22 050 Hz; `start` is the index of the first.

        What lies before the stream's end was heard already and is dropped. Behind a gap, of which
        nothing is known, the network starts anew; one of up to 64 samples is passed over.
        """
        pcm, start = pcm[max(0, stream.end - start) :], max(start, stream.end)
        if len(pcm) == 0:
            return stream
        # Times rounded to milliseconds leave holes of some samples: they are no gaps.
        hole = start - stream.end
        if hole > BRIDGED_SAMPLES:
            begun = SpeechStream(start, start / RATE_HZ)
            stream, hole = replace(begun, times_s=stream.times_s, speech=stream.speech), 0
        samples = np.concatenate([stream.tail, np.full(hole, pcm[0]), pcm])
        resampled = resample(pcm_to_samples(samples))
        tail = samples[len(resampled) // RESAMPLED * PERIOD :].copy()
        heard = self._decide(stream, np.concatenate([stream.waiting, resampled]))
        return replace(heard, end=start + len(pcm), tail=tail).newest(MOST_CHUNKS)

    def _decide(self, stream: SpeechStream, samples: Floats) -> SpeechStream:
        """Go on with samples at 16 kHz that begin at the stream's next chunk."""
        count = len(samples) // SPEECH_CHUNK
        if count == 0:
            return replace(stream, waiting=samples)
        chunks = samples[: count * SPEECH_CHUNK].reshape(count, SPEECH_CHUNK)
        speech, memory = self._listen(chunks, stream.memory)
        return replace(
            stream,
            next_s=stream.next_s + count * CHUNK_S,
            waiting=samples[count * SPEECH_CHUNK :].copy(),
            memory=memory,
            times_s=np.append(stream.times_s, stream.next_s + np.arange(count) * CHUNK_S),
            speech=np.append(stream.speech, speech).astype(np.float32),
        )

    def _listen(self, chunks: Floats, memory: Memory) -> tuple[list[float], Memory]:
        """Listen to chunks that follow each other, `(T, 512)`: what each says, and the memory after
        them.

        What a chunk sounds like is computed for all together, what it says for one after the other.
        """
        before = np.concatenate([memory["context"][None], chunks[:-1, -SPEECH_CONTEXT:]])
        levels = _follow_level(chunks, float(memory["level"][0]))
        gains = np.clip(LOUD / np.maximum(levels, LOUD / LARGEST_GAIN), 1.0, None)[:, None]
        samples = np.concatenate([before, chunks], axis=1) * gains
        features = self.engine.run("encode", samples=samples.astype(np.float32))["features"]
        state = {name: memory[name][None] for name in ("h", "c")}
        speech = []
        for one in features:
            found = self.engine.run("step", features=one[None], **state)
            state = carried(found)
            speech.append(float(found["speech"][0]))
        kept = {name: one[0].copy() for name, one in state.items()}
        heard = {"context": chunks[-1, -SPEECH_CONTEXT:].copy(), "level": levels[-1:]}
        return speech, {**kept, **heard}


def _follow_level(chunks: Floats, level: float) -> Floats:
    """Return the level of the loudest chunk so far at each of `(T, 512)`, fading: `(T,)`."""
    levels = []
    for loud in np.sqrt(np.mean(chunks**2, axis=1)):
        level = max(float(loud), level * FADING)
        levels.append(level)
    return np.array(levels, np.float32)


def _at_start() -> Memory:
    """Return the memory at a stream's start, silence."""
    return {name: np.zeros(size, np.float32) for name, size in REMEMBERED.items()}
