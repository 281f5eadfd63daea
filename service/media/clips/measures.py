"""16-bit mono sound into its level, its peak and the band that it fills (child)."""

import cmath
import math
from array import array
from operator import mul

from service.media.clips.contents import RATE_HZ, SoundMeasures

FULL_SCALE = 32_768.0
# Every so many samples count for the level, which is the same and costs less.
THINNING = 7
WINDOW = 512
EVERY = RATE_HZ // 4
MOST_WINDOWS = 240
# Windows fainter than this say nothing of the band.
HEARD_DBFS = -60.0
# What is this much fainter than the strongest tone does not count to the band.
EDGE_DB = 60.0
SMOOTHED = 5

_HANN = [0.5 - 0.5 * math.cos(2 * math.pi * at / WINDOW) for at in range(WINDOW)]


class Measuring:
    """Takes sound piece by piece."""

    def __init__(self, source_hz: int) -> None:
        self._most_hz = source_hz / 2
        self._squares, self._counted, self._peak = 0, 0, 0
        self._spectrum, self._windows = [0.0] * (WINDOW // 2), 0
        self._to_next = 0

    def add(self, pcm: bytes) -> None:
        """Measure one more piece."""
        samples = array("h", pcm)
        if not samples:
            return
        some = samples[::THINNING]
        self._squares += sum(map(mul, some, some))
        self._counted += len(some)
        self._peak = max(self._peak, max(samples), -min(samples))
        at = self._to_next
        while at + WINDOW <= len(samples):
            self._look(samples[at : at + WINDOW])
            at += EVERY
        self._to_next = max(0, at - len(samples))

    @property
    def result(self) -> SoundMeasures:
        """The measures so far; None for what silence does not tell."""
        level = math.sqrt(self._squares / self._counted) if self._counted else 0.0
        return SoundMeasures(_dbfs(level), _dbfs(self._peak), self._band_hz())

    def _look(self, samples: "array[int]") -> None:
        power = sum(map(mul, samples, samples)) / WINDOW
        if self._windows >= MOST_WINDOWS or (_dbfs(math.sqrt(power)) or -99) < HEARD_DBFS:
            return
        self._windows += 1
        found = _transform(list(map(mul, samples, _HANN)))
        for at in range(WINDOW // 2):
            self._spectrum[at] += abs(found[at]) ** 2

    def _band_hz(self) -> float | None:
        """Return the highest frequency that is heard."""
        if not self._windows:
            return None
        smooth = [
            sum(self._spectrum[max(0, at - SMOOTHED // 2) : at + SMOOTHED // 2 + 1]) / SMOOTHED
            for at in range(len(self._spectrum))
        ]
        least = max(smooth) * 10 ** (-EDGE_DB / 10)
        edge = max(at for at, power in enumerate(smooth) if power >= least)
        # Just above half of the source's rate there are traces of its conversion.
        return round(min((edge + 0.5) * RATE_HZ / WINDOW, self._most_hz), 1)


def _dbfs(value: float) -> float | None:
    return round(20 * math.log10(value / FULL_SCALE), 2) if value > 0 else None


def _transform(values: "list[float] | list[complex]") -> list[complex]:
    """Return the discrete Fourier transform of a power of two of values."""
    count = len(values)
    if count == 1:
        return [complex(values[0])]
    even, odd = _transform(values[::2]), _transform(values[1::2])
    turned = [cmath.exp(-2j * math.pi * at / count) * odd[at] for at in range(count // 2)]
    return [even[at] + turned[at] for at in range(count // 2)] + [
        even[at] - turned[at] for at in range(count // 2)
    ]
