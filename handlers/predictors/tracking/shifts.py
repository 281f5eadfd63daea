"""Two small pictures laid over each other with shifts of a few pixels: what moves is no change."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.floating]


class Overlaps(NamedTuple):
    """Sums of what two pictures share by shift, `(K,)` each, about the means of the channels of
    what overlaps: the number of values, the sums of their squares, and that of their products."""

    size: Pixels
    power_before: Pixels
    power_now: Pixels
    product: Pixels


def overlaps_by_shift(before: Pixels, now: Pixels, most_px: int) -> Overlaps:
    """Lay `(S, S, C)` pictures over each other, shifted by up to so many pixels each way.

    All shifts at once: by sums about zero, from which those about the means follow. They are exact
    where the pictures are about their own means already.
    """
    side, channels = before.shape[0], before.shape[2]
    there = _there(side, most_px).astype(before.dtype, copy=False)
    back = there[::-1]
    count = there.sum(axis=1)
    sums, sums_now = there @ before.reshape(-1, channels), back @ now.reshape(-1, channels)
    padded = np.zeros((side + 2 * most_px, side + 2 * most_px, channels), before.dtype)
    padded[most_px : most_px + side, most_px : most_px + side] = before
    steps = range(2 * most_px + 1)
    shifted = np.stack([padded[y : y + side, x : x + side].ravel() for y in steps for x in steps])
    return Overlaps(
        count * channels,
        _power(before, there) - _squares(sums, sums) / count,
        _power(now, back) - _squares(sums_now, sums_now) / count,
        shifted @ now.ravel() - _squares(sums, sums_now) / count,
    )


@cache
def _there(side: int, most_px: int) -> NDArray[np.float32]:
    """Which pixels of a picture are still there when it is shifted, `(K, S * S)`: 1 or 0."""
    steps = range(-most_px, most_px + 1)
    there = np.zeros((len(steps), len(steps), side, side), np.float32)
    for row, y in enumerate(steps):
        for column, x in enumerate(steps):
            there[row, column, max(y, 0) : side + min(y, 0), max(x, 0) : side + min(x, 0)] = 1
    return there.reshape(-1, side * side)


def _power(picture: Pixels, there: Pixels) -> Pixels:
    flat = picture.reshape(-1, picture.shape[2])
    return np.asarray(there @ np.einsum("nc,nc->n", flat, flat))


def _squares(first: Pixels, second: Pixels) -> Pixels:
    return np.asarray(np.einsum("kc,kc->k", first, second))
