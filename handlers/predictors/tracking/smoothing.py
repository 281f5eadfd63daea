"""Jittering landmarks to calm ones: the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MIN_INTERVAL_S = 1e-3


@dataclass(frozen=True)
class OneEuro:
    """A low-pass filter whose cutoff rises with speed: calm at rest, no lag in motion.

    `min_cutoff_hz` is the cutoff at rest, `beta` what one face diagonal a second adds to it (Hz),
    `speed_cutoff_hz` smooths the speed itself.
    """

    min_cutoff_hz: float = 1.5
    beta: float = 30.0
    speed_cutoff_hz: float = 1.0


@dataclass(frozen=True)
class SmoothingState:
    """The filter's memory: `values` `(2, N, 2)`, the filtered points in pixels and their
    filtered speeds in pixels a second, and the time of the last frame in seconds."""

    values: Floats
    time_s: float


def smooth(
    points: Floats, time_s: float, size_px: float, state: SmoothingState | None, filter: OneEuro
) -> tuple[Floats, SmoothingState]:
    """Filter points `(N, 2)` seen at `time_s` on a face whose box has a diagonal of `size_px`.

    Without a state the points pass as they are. Times that do not rise count as 1 ms.
    """
    if state is None:
        values = np.stack([points, np.zeros_like(points)]).astype(np.float32)
        return values[0], SmoothingState(values, time_s)
    interval_s = max(time_s - state.time_s, MIN_INTERVAL_S)
    before, speed_before = state.values
    speed = (points - before) / interval_s
    speed = _low_pass(speed, speed_before, _share(filter.speed_cutoff_hz, interval_s))
    cutoff_hz = filter.min_cutoff_hz + filter.beta / max(size_px, 1.0) * np.abs(speed)
    smoothed = _low_pass(points, before, _share(np.asarray(cutoff_hz, np.float32), interval_s))
    values = np.stack([smoothed, speed]).astype(np.float32)
    return values[0], SmoothingState(values, time_s)


def _share(cutoff_hz: float | Floats, interval_s: float) -> float | Floats:
    """Compute the share of the new value: alpha of the paper's equations 3 and 4."""
    ratio = 2 * math.pi * cutoff_hz * interval_s
    return ratio / (ratio + 1)


def _low_pass(new: Floats, before: Floats, share: float | Floats) -> Floats:
    return np.asarray(share * new + (1 - share) * before, np.float32)
