"""Whether a face that is followed is still that person's: no cut is seen where only that changes.

Two looks at a face, upright and at one size by its landmarks, are compared twice: as they are, and
by their fine drawing alone, of which light says little. From frame to frame both change by a few
hundredths, on heads that turn fast by a fifth and a third at most; another person's face changes
both by more. Where a face changes much all the time, only a change far beyond the last ones counts;
a face that is half covered is not compared, nor one that has had the time to turn.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.predictors.tracking.shifts import overlaps_by_shift
from handlers.processing.boxes import Crop

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Values = NDArray[np.float64]

SIDE_PX = 32
# Where the eyes and the mouth lie in a look, in fractions of its side.
EYES_AND_MOUTH = (slice(36, 42), slice(42, 48), slice(48, 60))
PLACES = (0.3 + 0.33j, 0.7 + 0.33j, 0.5 + 0.75j)
PLACES_MIDDLE = sum(PLACES) / len(PLACES)
APART = tuple(place - PLACES_MIDDLE for place in PLACES)
SPREAD = sum(abs(one) ** 2 for one in APART)
MIDDLE = 0.5 + 0.5j
CLEAR = 0.85  # of what the landmark network is less sure may be covered
# What is longer ago says nothing: the face may have turned meanwhile.
MOST_AGE, MOST_AGE_S = 4, 0.35
DRAWN_PX = 5.0  # what is finer than this is drawing, what is coarser light
SHIFT_PX = 1  # landmarks are no more exact
FAINTEST = 2.0  # levels: below there is no drawing
OTHER, OTHER_DRAWING = 0.22, 0.27
SUDDEN, CALMING = 3.0, 0.9
GREY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Looks:
    """The last clear look at a face, `(32, 32, 3)` uint8 RGB, the time of its frame, NaN where that
    is not known, how much its drawing changed of late, and how many frames ago it was."""

    picture: Image
    time_s: float = math.nan
    unrest: float = 0.0
    age: int = 0

    def is_old(self, now: "Looks") -> bool:
        """Whether it is too old for a comparison."""
        return self.age > MOST_AGE or abs(now.time_s - self.time_s) > MOST_AGE_S


def look(frame: Image, landmarks: Floats) -> Image:
    """Cut a face with landmarks `(68, 2)` out of a frame `(H, W, 3)` uint8."""
    found = [complex(*landmarks[part].mean(axis=0).tolist()) for part in EYES_AND_MOUTH]
    middle = sum(found) / len(found)
    turn = sum(a.conjugate() * (b - middle) for a, b in zip(APART, found, strict=True)) / SPREAD
    centre = middle + turn * (MIDDLE - PLACES_MIDDLE)
    side, angle = max(abs(turn), 1.0), math.atan2(turn.imag, turn.real)
    return Crop((centre.real, centre.imag), side, SIDE_PX, angle).extract(frame)


def compare(before: Looks | None, now: Looks) -> tuple[Looks, bool]:
    """The face with this look as its last one, and whether it is another person's."""
    if before is None or before.is_old(now):
        return now, False
    drawing = change(_drawing(before.picture), _drawing(now.picture))
    is_other = (
        drawing > max(OTHER_DRAWING, SUDDEN * before.unrest)
        and change(before.picture.astype(np.float64), now.picture.astype(np.float64)) > OTHER
    )
    if is_other:
        return now, True
    return replace(now, unrest=max(drawing, before.unrest * CALMING)), False


def change(before: Values, now: Values) -> float:
    """One less the best correlation of two looks, shifted by a pixel at most: 0 for the same."""
    found = overlaps_by_shift(_centred(before), _centred(now), SHIFT_PX)
    floor = FAINTEST**2 * found.size
    powers = np.maximum(found.power_before * found.power_now, 0)
    return float((1 - (found.product + floor) / (np.sqrt(powers) + floor)).min())


def _centred(values: Values) -> Values:
    """A look, or its drawing, about its channels' means: `(32, 32, C)`."""
    channels = values.reshape(SIDE_PX, SIDE_PX, -1)
    return np.asarray(channels - channels.mean(axis=(0, 1)), np.float64)


def _drawing(picture: Image) -> Values:
    grey = picture @ GREY
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), DRAWN_PX), np.float64)
