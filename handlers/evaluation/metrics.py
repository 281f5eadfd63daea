"""Landmarks and their truth to the errors and summary figures of the alignment tables.

A face that was not found has an infinite error: it lowers the area under the curve and counts
as a failure like any other error above the threshold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.processing.arrays import Doubles, Floats
from handlers.processing.landmarks import OUTER_EYE_CORNERS

THRESHOLD = 0.08  # sections 3.4 and 4.4, after Bulat and Tzimiropoulos 2017


def box_size(landmarks: Floats) -> float:
    """Return the root of the area of the tight box around landmarks `(68, 2)`, in their pixels."""
    width, height = np.ptp(landmarks.astype(np.float64), axis=0)
    return float(np.sqrt(width * height))


def eye_distance(landmarks: Floats) -> float:
    """Return the distance of the outer eye corners (points 36 and 45 from 0), in pixels."""
    left, right = landmarks[list(OUTER_EYE_CORNERS)].astype(np.float64)
    return float(np.hypot(*(right - left)))


def nme_box(predicted: Floats, truth: Floats) -> float:
    """Return the mean point-to-point error over the truth's box size (Zafeiriou et al. 2018).

    Both `(68, 2)` in the same pixels. Raises ValueError where the truth has no area.
    """
    return _mean_error(predicted, truth, box_size(truth))


def nme_eyes(predicted: Floats, truth: Floats) -> float:
    """Return the mean point-to-point error over the truth's outer eye distance (Sagonas et al.
    2013).

    Both `(68, 2)` in the same pixels. Raises ValueError where the truth's corners coincide.
    """
    return _mean_error(predicted, truth, eye_distance(truth))


def _mean_error(predicted: Floats, truth: Floats, size: float) -> float:
    if not size > 0:
        raise ValueError(f"the true landmarks have the size {size}, it must be positive")
    distances = np.linalg.norm(predicted.astype(np.float64) - truth, axis=-1)
    return float(distances.mean() / size)


def finite_mean(values: NDArray[np.floating]) -> float:
    """Return the mean of the values that are finite; not a number without any."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def auc(errors: Doubles, threshold: float = THRESHOLD) -> float:
    """Return the area under the cumulative error curve up to `threshold`, over its width: in [0,
    1].

    Exact: the curve is a sum of steps, and a face of error e adds the width from e on.
    """
    return float(gains(errors, threshold).mean())


def gains(errors: Doubles, threshold: float = THRESHOLD) -> Doubles:
    """Compute what each face adds to the area: 1 without error, 0 from `threshold` on."""
    return np.maximum(1 - errors / threshold, 0)


def failure_rate(errors: Doubles, threshold: float = THRESHOLD) -> float:
    """Return the fraction of faces whose error is above the threshold, in [0, 1]."""
    return float((errors > threshold).mean())


def cumulative_errors(errors: Doubles, upto: float = THRESHOLD) -> tuple[Doubles, Doubles]:
    """Return the cumulative error curve as the corners of its steps, for plotting with `post`
    steps.

    Returns:
        errors from 0 to `upto`, ascending, and the fraction of faces at or below each.
    """
    inside = np.sort(errors[errors <= upto])
    fractions = np.arange(1, len(inside) + 1) / len(errors)
    last = fractions[-1] if len(inside) else 0.0
    return np.concatenate([[0.0], inside, [upto]]), np.concatenate([[0.0], fractions, [last]])


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference with the interval that holds it with the given confidence."""

    difference: float
    low: float
    high: float
    confidence: float


def paired_bootstrap(
    first: Doubles,
    second: Doubles,
    groups: Sequence[str] | None = None,
    *,
    threshold: float = THRESHOLD,
    draws: int = 2_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the AUC of `first` minus AUC of `second` over the same faces, with its percentile
    interval.

    Args:
        first, second: errors `(N,)` of two models, face by face.
        groups: the person of each face. Frames of one person err together, so whole persons
            are drawn; without groups every face is drawn by itself.

    Raises:
        ValueError: the lengths differ or are 0.
    """
    if not len(first) == len(second) > 0 or (groups is not None and len(groups) != len(first)):
        raise ValueError(f"need pairs of errors, got {len(first)} and {len(second)}")
    _, group = np.unique(np.arange(len(first)) if groups is None else groups, return_inverse=True)
    gain = gains(first, threshold) - gains(second, threshold)
    sums, counts = np.bincount(group, weights=gain), np.bincount(group)
    # The mean over drawn people follows from their sums: no face is looked at again.
    times = draw_groups(len(sums), draws, seed)
    return interval(gain.mean(), (times @ sums) / (times @ counts), confidence)


def draw_groups(groups: int, draws: int, seed: int) -> Doubles:
    """Draw how often each of the groups is in every draw of a bootstrap, `(draws, groups)`."""
    share = np.full(groups, 1 / groups)
    # To draw N of N with replacement and to count them is one multinomial draw.
    return np.random.default_rng(seed).multinomial(groups, share, draws).astype(np.float64)


def interval(value: float, drawn: Doubles, confidence: float) -> Interval:
    """Return a value with the percentiles of what was drawn for it, as far as it is a number."""
    finite = drawn[np.isfinite(drawn)]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(finite, tails) if len(finite) else (np.nan, np.nan)
    return Interval(float(value), float(low), float(high), confidence)
