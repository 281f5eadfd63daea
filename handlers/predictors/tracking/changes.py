"""Changes from frame to frame: another scene than before, another person's face.

Scenes are compared as small pictures, by the correlation of their pixels about each channel's mean:
neither brightness nor contrast has a say. Heads, hands and cameras change it by a few hundredths
from frame to frame, a cut by a tenth at least, also to another person before the same wall, and
mostly by more than half.

Two looks at a face, upright and at one size by its landmarks, are compared twice: as they are, and
by their fine drawing alone, of which light says little. From frame to frame both change by a few
hundredths, on heads that turn fast by a fifth and a third at most; another person's face changes
both by more. A face that is half covered is not compared, nor one that has had the time to turn.

Where much changes all the time, only a change far beyond the last ones counts.
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.processing.boxes import Crop

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

SHIFT_PX = 1  # a camera that shakes shows the same scene, and landmarks are no more exact
CALMING = 0.9  # a frame

SCENE_PX = 24
SAMPLED_PX = 96  # of the shorter side, at least, are looked at
FAINTEST, DISTINCT = 4.0, 16.0  # levels of contrast: below a picture shows nothing, above surely
WHOLE, PART = 0.45, 0.1  # changes that are a cut: always; where they come out of calm
SUDDEN, CALM_FLOOR = 8.0, 0.004
UNKNOWN = 0.05  # how much changes in a scene of which nothing is known yet

LOOK_PX = 32
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
FAINTEST_DRAWN = 2.0  # levels: below there is no drawing
OTHER, OTHER_DRAWING, SUDDEN_DRAWING = 0.22, 0.27, 3.0
GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class SceneThumbnail:
    """The last frame as a small picture, `(24, 24, 3)` uint8, and how much changed of late."""

    picture: Image
    unrest: float = UNKNOWN


def glance(frame: Image) -> Image:
    """Shrink a frame `(H, W, 3)` uint8 to a small picture."""
    # Every so many pixels first: averaging all of a large frame takes far longer.
    step = max(min(frame.shape[:2]) // SAMPLED_PX, 1)
    small = cv2.resize(frame[::step, ::step], (SCENE_PX, SCENE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def follow(scene: SceneThumbnail | None, frame: Image) -> tuple[SceneThumbnail, bool]:
    """Return the scene with this frame as its last one, and whether there was a cut before it."""
    now = glance(frame)
    if scene is None:
        return SceneThumbnail(now), False
    changed = scene_change(scene.picture, now)
    sudden = changed > SUDDEN * max(scene.unrest, CALM_FLOOR)
    is_cut = changed > WHOLE or (changed > PART and sudden)
    return SceneThumbnail(now, max(changed, scene.unrest * CALMING)), is_cut


def scene_change(before: Image, now: Image) -> float:
    """Compute one less the best correlation of two small pictures, shifted by a pixel at most.

    It is 0 for the same picture and 1 for unrelated ones.
    """
    found = overlaps_by_shift(_centred(before), _centred(now), SHIFT_PX)
    powers = np.maximum([found.power_before, found.power_now], 0)
    contrasts = np.sqrt(powers / found.size)
    # In both parts of the ratio: without contrast noise would decide.
    floor = FAINTEST**2 * found.size
    differences = 1 - (found.product + floor) / (np.sqrt(powers[0] * powers[1]) + floor)
    unlike = (contrasts.min(axis=0) < FAINTEST) & (contrasts.max(axis=0) > DISTINCT)
    return float(np.where(unlike, 1.0, differences).min())


@dataclass(frozen=True)
class FaceThumbnail:
    """The last clear look at a face, `(32, 32, 3)` uint8 RGB, the time of its frame, NaN where that
    is not known, how much its drawing changed of late, and how many frames ago it was."""

    picture: Image
    time_s: float = math.nan
    unrest: float = 0.0
    age: int = 0

    def is_old(self, now: "FaceThumbnail") -> bool:
        """Tell whether it is too old for a comparison."""
        return self.age > MOST_AGE or abs(now.time_s - self.time_s) > MOST_AGE_S


def look(frame: Image, landmarks: Floats) -> Image:
    """Cut a face with landmarks `(68, 2)` out of a frame `(H, W, 3)` uint8."""
    found = [complex(*landmarks[part].mean(axis=0).tolist()) for part in EYES_AND_MOUTH]
    middle = sum(found) / len(found)
    # As complex numbers, one factor is scale and turn of the least-squares similarity.
    turn = sum(a.conjugate() * (b - middle) for a, b in zip(APART, found, strict=True)) / SPREAD
    centre = middle + turn * (MIDDLE - PLACES_MIDDLE)
    side, angle = max(abs(turn), 1.0), math.atan2(turn.imag, turn.real)
    return Crop((centre.real, centre.imag), side, LOOK_PX, angle).extract(frame)


def compare(before: FaceThumbnail | None, now: FaceThumbnail) -> tuple[FaceThumbnail, bool]:
    """Return the face with this look as its last one, and whether it is another person's."""
    if before is None or before.is_old(now):
        return now, False
    drawing = look_change(_drawing(before.picture), _drawing(now.picture))
    is_other = (
        drawing > max(OTHER_DRAWING, SUDDEN_DRAWING * before.unrest)
        and look_change(before.picture, now.picture) > OTHER
    )
    if is_other:
        return now, True
    return replace(now, unrest=max(drawing, before.unrest * CALMING)), False


def look_change(before: Image | Floats, now: Image | Floats) -> float:
    """Return one less the best correlation of two looks `(32, 32, C)`, shifted by a pixel at most:
    0 for the same."""
    found = overlaps_by_shift(_centred(before), _centred(now), SHIFT_PX)
    floor = FAINTEST_DRAWN**2 * found.size
    powers = np.maximum(found.power_before * found.power_now, 0)
    return float((1 - (found.product + floor) / (np.sqrt(powers) + floor)).min())


def _drawing(picture: Image) -> Floats:
    grey = picture @ GREY
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), DRAWN_PX), np.float32)[..., None]


def _centred(picture: Image | Floats) -> Floats:
    """Return a small picture about its channels' means."""
    pixels = picture.astype(np.float32)
    pixels -= pixels.mean(axis=(0, 1))
    return pixels


class Overlaps(NamedTuple):
    """Sums of what two pictures share by shift, `(K,)` each, about the means of the channels of
    what overlaps: the number of values, the sums of their squares, and that of their products."""

    size: Floats
    power_before: Floats
    power_now: Floats
    product: Floats


def overlaps_by_shift(before: Floats, now: Floats, most_px: int) -> Overlaps:
    """Lay `(S, S, C)` pictures over each other, shifted by up to so many pixels each way.

    All shifts at once: by sums about zero, from which those about the means follow. They are exact
    where the pictures are about their own means already.
    """
    side, channels = before.shape[0], before.shape[2]
    there = _there(side, most_px)
    back = there[::-1]
    count = there.sum(axis=1)
    sums, sums_now = there @ before.reshape(-1, channels), back @ now.reshape(-1, channels)
    padded = np.zeros((side + 2 * most_px, side + 2 * most_px, channels), np.float32)
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
    """Tell which pixels of a picture are still there when it is shifted, `(K, S * S)`: 1 or 0."""
    steps = range(-most_px, most_px + 1)
    there = np.zeros((len(steps), len(steps), side, side), np.float32)
    for row, y in enumerate(steps):
        for column, x in enumerate(steps):
            there[row, column, max(y, 0) : side + min(y, 0), max(x, 0) : side + min(x, 0)] = 1
    return there.reshape(-1, side * side)


def _power(picture: Floats, there: Floats) -> Floats:
    flat = picture.reshape(-1, picture.shape[2])
    return np.asarray(there @ np.einsum("nc,nc->n", flat, flat))


def _squares(first: Floats, second: Floats) -> Floats:
    return np.asarray(np.einsum("kc,kc->k", first, second))
