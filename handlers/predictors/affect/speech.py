"""Sound that comes piece by piece -> where somebody speaks, and the state between pieces."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.networks.speech import CHUNK, SpeechMemory
from handlers.processing.mel import HOP, RATE_HZ, WINDOW, Floats, pcm_to_samples
from handlers.processing.mel_stream import BRIDGED_SAMPLES
from handlers.processing.resampling import PERIOD, REACH, RESAMPLED, TO_HZ, resample

Pcm = NDArray[np.int16]
Times = NDArray[np.float64]
Network = Callable[[Tensor, SpeechMemory], tuple[Tensor, SpeechMemory]]

CHUNK_S = CHUNK / TO_HZ
# The window that belongs to a picture reaches so far to either side of it.
WINDOW_REACH_S = WINDOW * HOP / RATE_HZ / 2
# From this probability on a chunk counts as speech; shorter speech in a window is none.
SPEECH, LEAST_SPEECH_S = 0.5, 0.19
# What `forget_before` leaves at most: as long as Mel columns are kept.
KEPT_CHUNKS = 157
MOST_CHUNKS = round(60 / CHUNK_S)


@dataclass(frozen=True)
class SpeechStream:
    """What is known of the speech of a stream.

    `speech` `(N,)` are probabilities of chunks of 32 ms that begin at `times_s` `(N,)`. The next
    chunk begins at `next_s`: `waiting` are its samples at 16 kHz so far, `tail` those at 22 050 Hz
    before `end` that are not resampled yet.
    """

    end: int = 0
    next_s: float = 0.0
    tail: Pcm = field(default_factory=lambda: np.zeros(REACH, np.int16))
    waiting: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    memory: SpeechMemory = field(default_factory=SpeechMemory.at_start)
    times_s: Times = field(default_factory=lambda: np.zeros(0, np.float64))
    speech: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def speaks(self, time_s: float) -> bool:
        """Whether there is speech in the window of 2.97 s around a time, as far as it was heard."""
        inside = np.abs(self.times_s + CHUNK_S / 2 - time_s) <= WINDOW_REACH_S
        spoken = np.count_nonzero(self.speech[inside] >= SPEECH)
        return bool(spoken * CHUNK_S >= LEAST_SPEECH_S)

    def forget_before(self, time_s: float) -> "SpeechStream":
        """Keep what windows at this time and later need, of more than 5 s the newest 5 s."""
        needed = int(np.count_nonzero(self.times_s + CHUNK_S >= time_s - WINDOW_REACH_S))
        return self.newest(min(needed, KEPT_CHUNKS))

    def newest(self, chunks: int) -> "SpeechStream":
        """The same with so many chunks at most."""
        old = max(len(self.speech) - chunks, 0)
        return replace(self, times_s=self.times_s[old:], speech=self.speech[old:])

    def to_tensors(self) -> dict[str, Tensor]:
        """The state, at most 8 KiB."""
        kept = self.newest(KEPT_CHUNKS)
        return {
            "speech_end": torch.tensor([self.end]),
            "speech_times_s": torch.from_numpy(np.append(kept.times_s, self.next_s)),
            "speech_tail": torch.from_numpy(self.tail.copy()),
            "speech_waiting": torch.from_numpy(self.waiting.copy()),
            "speech_h": self.memory.h,
            "speech_c": self.memory.c,
            "speech_context": self.memory.context,
            "speech": torch.from_numpy(kept.speech.copy()),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "SpeechStream":
        """The way back; raises KeyError or ValueError for tensors of another making."""
        memory = SpeechMemory(*(tensors[f"speech_{name}"] for name in ("h", "c", "context")))
        times_s, speech = tensors["speech_times_s"].numpy(), tensors["speech"].numpy()
        tail, waiting = tensors["speech_tail"].numpy(), tensors["speech_waiting"].numpy()
        if times_s.shape != (len(speech) + 1,) or tail.dtype != np.int16 or len(waiting) >= CHUNK:
            raise ValueError(f"chunks {speech.shape} begin at {times_s.shape}, tail {tail.shape}")
        end = int(tensors["speech_end"].item())
        return cls(end, float(times_s[-1]), tail, waiting, memory, times_s[:-1], speech)


class SpeechDetector:
    """A network for chunks of 32 ms, on a device, applied to streams; holds nothing of any."""

    def __init__(self, network: Network, device: str = "cpu") -> None:
        self._network, self._device = network, torch.device(device)

    def hear(self, stream: SpeechStream, pcm: Pcm, start: int) -> SpeechStream:
        """The stream after `(N,)` samples at 22 050 Hz, `start` being the index of the first.

        What lies before the stream's end was heard already and is dropped. Behind a gap, of which
        nothing is known, the network starts anew; one of up to 64 samples is passed over.
        """
        pcm, start = pcm[max(0, stream.end - start) :], max(start, stream.end)
        if len(pcm) == 0:
            return stream
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
        count = len(samples) // CHUNK
        if count == 0:
            return replace(stream, waiting=samples)
        chunks = torch.from_numpy(samples[: count * CHUNK].reshape(count, CHUNK))
        before = SpeechMemory(*(one.to(self._device) for one in stream.memory.tensors()))
        speech, after = self._network(chunks.to(self._device), before)
        return replace(
            stream,
            next_s=stream.next_s + count * CHUNK_S,
            waiting=samples[count * CHUNK :].copy(),
            memory=SpeechMemory(*(one.cpu().clone() for one in after.tensors())),
            times_s=np.append(stream.times_s, stream.next_s + np.arange(count) * CHUNK_S),
            speech=np.append(stream.speech, speech.cpu().numpy()).astype(np.float32),
        )
