"""Raw sound around a picture to eGeMAPS low-level descriptors: what AEG-CD-SZ hears (5.3.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.processing.mel import RATE_HZ, SILENCE_DB, pcm_to_samples

Pcm = NDArray[np.int16]
Floats = NDArray[np.float32]

EXTRA = "affect-egemaps"
SETS, SET_WIDTH = 2, 25
DESCRIPTORS = SETS * SET_WIDTH

# The part of the sound that belongs to a picture, at 25 a second, and one such part on each side.
PICTURE_S = 0.04
REACH = round(1.5 * PICTURE_S * RATE_HZ)
KEPT = round(2.5 * RATE_HZ)
MOST = 60 * RATE_HZ
BRIDGED_SAMPLES = 64
FULL_SCALE_SINE = 0.5


class MissingExtra(RuntimeError):
    """A library that the distribution does not bring by itself; says how to get it."""


@dataclass(frozen=True)
class PcmStream:
    """The newest sound of a stream without a gap: `samples` int16 mono that end before `end`.

    It is used as `MelStream` is; every method returns the stream that follows from it.
    """

    end: int = 0
    samples: Pcm = field(default_factory=lambda: np.zeros(0, np.int16))

    def push(self, pcm: Pcm, start: int) -> "PcmStream":
        """Hear `(N,)` samples, `start` being the index of the first, counted from time zero.

        What lies before `end` was heard already and is dropped; behind a gap the memory starts
        anew. A gap of up to 64 samples, which comes of rounded times, is passed over.
        """
        pcm, start = pcm[max(0, self.end - start) :], max(start, self.end)
        if len(pcm) == 0:
            return self
        hole = start - self.end
        before = [self.samples, np.full(hole, pcm[0])] if hole <= BRIDGED_SAMPLES else []
        return PcmStream(start + len(pcm), np.concatenate([*before, pcm])[-MOST:])

    def around(self, time_s: float) -> Pcm | None:
        """Return the 120 ms centred on a time, None unless all of it was heard."""
        first = self.end - len(self.samples)
        begin, end = round(time_s * RATE_HZ) - REACH, round(time_s * RATE_HZ) + REACH
        return (
            self.samples[begin - first : end - first] if first <= begin < end <= self.end else None
        )

    def forget_before(self, time_s: float) -> "PcmStream":
        """Keep what this time and later ones need, of more than 2.5 s the newest 2.5 s."""
        needed = max(self.end - round(time_s * RATE_HZ) + REACH, 0)
        return PcmStream(self.end, self.samples[max(len(self.samples) - min(needed, KEPT), 0) :])

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return the state, at most 108 KiB: the newest 2.5 s."""
        return {
            "pcm_end": np.array([self.end]),
            "pcm": self.samples[-KEPT:].copy(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> "PcmStream":
        """Read the state back; raises KeyError or ValueError for tensors of another making."""
        samples = tensors["pcm"]
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise ValueError(f"samples are {samples.dtype} {samples.shape}")
        return cls(int(tensors["pcm_end"].item()), samples)


def is_silent(pcm: Pcm) -> bool:
    """Tell whether the mean power lies below the level of rooms without speech."""
    power = float(np.mean(np.square(pcm_to_samples(pcm))))
    return power <= FULL_SCALE_SINE * 10 ** (SILENCE_DB / 10)


def descriptors(pcm: Pcm) -> Floats:
    """Return the first two sets of the 25 descriptors of 120 ms of sound, one after the other:
    `(50,)`.

    The windows are 60 ms for pitch and its kin, 20 ms for the others, in steps of 10 ms. Raises
    MissingExtra where opensmile is not installed.
    """
    table = _extractor().process_signal(pcm_to_samples(pcm), RATE_HZ)
    values = np.asarray(table.to_numpy()[:SETS], np.float32).reshape(-1)
    return np.nan_to_num(values)


def need_extractor() -> None:
    """Raise MissingExtra unless descriptors can be computed; loads nothing, opensmile is large."""
    if find_spec("opensmile") is None:
        raise MissingExtra(
            "eGeMAPS descriptors need opensmile, which is free for research only: "
            f"pip install 'countenance[{EXTRA}]'"
        )


@cache
def _extractor() -> Any:
    need_extractor()
    import opensmile

    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.LowLevelDescriptors,
    )
