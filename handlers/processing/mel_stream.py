"""Sound that comes piece by piece -> Mel power around any time, and the state between pieces."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.processing.mel import (
    BANDS,
    HOP,
    RATE_HZ,
    REACH,
    WINDOW,
    Floats,
    columns_power,
    pcm_to_samples,
)

Pcm = NDArray[np.int16]
Heard = NDArray[np.bool_]

# Columns that `forget_before` leaves: 5.0 s, of which 1.5 s lie before the latest picture.
KEPT_COLUMNS = 216
# The most columns between two calls of it: one minute.
MOST_COLUMNS = 60 * RATE_HZ // HOP
# A hole no longer than this comes of times rounded to milliseconds; it is bridged.
BRIDGED_SAMPLES = 64


def column_at(time_s: float) -> int:
    """Return the column whose centre lies next to a time in seconds."""
    return round(time_s * RATE_HZ / HOP)


@dataclass(frozen=True)
class MelStream:
    """The sound of a stream so far; every method returns the stream that follows from it.

    `power` `(C, 128)` and `heard` `(C,)` are the columns from `first` on, complete ones only: a
    column is heard when all of its 2048 samples were, those before time zero counting as zeros.
    `tail` holds the samples before `end` that the next column still needs.
    """

    first: int = 0
    end: int = 0
    power: Floats = field(default_factory=lambda: np.zeros((0, BANDS), np.float32))
    heard: Heard = field(default_factory=lambda: np.zeros(0, np.bool_))
    tail: Pcm = field(default_factory=lambda: np.zeros(0, np.int16))

    @property
    def next(self) -> int:
        """The first column that is not complete yet."""
        return self.first + len(self.heard)

    def push(self, pcm: Pcm, start: int) -> "MelStream":
        """Hear `(N,)` samples, `start` being the index of the first, counted from time zero.

        A gap before them counts as not heard; what lies before `end` was heard already and is
        dropped, as is what lies before time zero. Of more than a minute the oldest is forgotten.
        """
        pcm, start = pcm[max(0, self.end - start) :], max(start, self.end)
        if len(pcm) == 0:
            return self
        if start - self.end > BRIDGED_SAMPLES:
            return self._after_gap(start)._hear(pcm)._newest(MOST_COLUMNS)
        return self._hear(self._bridge(pcm, start))._newest(MOST_COLUMNS)

    def window(self, time_s: float) -> tuple[Floats, Heard]:
        """Return Mel power `(128, 128)`, bands first, centred on a time, and the columns heard
        `(128,)`.

        The time's own column is number 64. What was not heard has no power.
        """
        begin = column_at(time_s) - WINDOW // 2
        power, heard = np.zeros((BANDS, WINDOW), np.float32), np.zeros(WINDOW, np.bool_)
        low, high = max(begin, self.first), min(begin + WINDOW, self.next)
        if low < high:
            there, here = (
                slice(low - begin, high - begin),
                slice(low - self.first, high - self.first),
            )
            power[:, there], heard[there] = self.power[here].T, self.heard[here]
        return power, heard

    def forget_before(self, time_s: float) -> "MelStream":
        """Keep what windows at this time and later need, of more than 5 s the newest 5 s.

        To be called after each step, with the latest picture's time or the sound's.
        """
        old = min(max(0, column_at(time_s) - WINDOW // 2 - self.first), len(self.heard))
        return self._newest(min(KEPT_COLUMNS, len(self.heard) - old))

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return the state, at most 60 KiB: the newest 5 s of columns, and the tail.

        Columns are kept as roots of power in half precision: 0.01 dB from 130 dB below the
        greatest power there is on.
        """
        kept = self._newest(KEPT_COLUMNS)
        return {
            "mel_place": np.array([kept.first, kept.end]),
            "mel_root": np.sqrt(kept.power).astype(np.float16),
            "mel_heard": kept.heard.copy(),
            "mel_tail": kept.tail.copy(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> "MelStream":
        """Read what `to_tensors` gave; raises KeyError or ValueError for other tensors."""
        first, end = tensors["mel_place"].tolist()
        power = np.square(tensors["mel_root"].astype(np.float32))
        heard, tail = tensors["mel_heard"], tensors["mel_tail"]
        fits = power.shape == (len(heard), BANDS) and heard.dtype == np.bool_
        if not fits or tail.dtype != np.int16 or tail.ndim != 1 or len(tail) > end:
            raise ValueError(f"columns {power.shape}, heard {heard.shape}, tail {tail.shape}")
        return cls(first, end, power, heard, tail)

    def _after_gap(self, start: int) -> "MelStream":
        """Go on at a later sample: columns that touch the gap are complete, and not heard."""
        resumed = -(-(start + REACH) // HOP)
        # Bounded: a client may leap by years.
        missing = min(resumed - self.next, MOST_COLUMNS)
        stream = self._append(np.zeros((missing, BANDS), np.float32), heard=False)
        first = resumed - len(stream.heard)
        return replace(stream, first=first, end=start, tail=self.tail[:0])

    def _bridge(self, pcm: Pcm, start: int) -> Pcm:
        """Put a straight line into a hole of a few samples before `start`."""
        last = self.tail[-1] if len(self.tail) else 0
        line = np.linspace(last, pcm[0], start - self.end, endpoint=False)
        return np.concatenate([line.astype(np.int16), pcm])

    def _hear(self, pcm: Pcm) -> "MelStream":
        """Go on with samples that begin at `end`."""
        end = self.end + len(pcm)
        samples = np.concatenate([self.tail, pcm])
        complete = max(0, (end - REACH) // HOP + 1 - self.next)
        begin = self.next * HOP - REACH
        before_zero = max(0, -begin) if complete else 0
        heard = np.pad(_from(samples, end, begin), (before_zero, 0))
        power = columns_power(pcm_to_samples(heard), complete)
        tail = _from(samples, end, begin + complete * HOP)
        return replace(self._append(power, heard=True), end=end, tail=tail.copy())

    def _append(self, power: Floats, heard: bool) -> "MelStream":
        flags = np.full(len(power), heard)
        return replace(
            self,
            power=np.concatenate([self.power, power]),
            heard=np.concatenate([self.heard, flags]),
        )

    def _newest(self, columns: int) -> "MelStream":
        old = len(self.heard) - columns
        if old <= 0:
            return self
        return replace(self, first=self.first + old, power=self.power[old:], heard=self.heard[old:])


def _from(samples: Pcm, end: int, begin: int) -> Pcm:
    """Return the part of samples that end at `end` from the index `begin` on."""
    return samples[max(0, begin - (end - len(samples))) :]
