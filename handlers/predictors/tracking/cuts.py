"""Whether a frame shows another scene than the one before: then nobody is followed across.

Two frames are compared as small pictures, by the correlation of their pixels about each channel's
mean: neither brightness nor contrast has a say. Heads, hands and cameras change it by a few
hundredths from frame to frame, a cut by a tenth at least, also to another person before the same
wall, and mostly by more than half. Where everything moves, only a change far beyond the last ones
counts.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.predictors.tracking.shifts import overlaps_by_shift

Image = NDArray[np.uint8]

SIDE_PX = 24
SHIFT_PX = 1  # a camera that shakes shows the same scene
SAMPLED_PX = 96  # of the shorter side, at least, are looked at
FAINTEST, DISTINCT = 4.0, 16.0  # levels of contrast: below a picture shows nothing, above surely
WHOLE, PART = 0.45, 0.1  # changes that are a cut: always; where they come out of calm
SUDDEN, CALM_FLOOR = 8.0, 0.004
CALMING = 0.9  # a frame
UNKNOWN = 0.05  # how much changes in a scene of which nothing is known yet


@dataclass(frozen=True)
class SceneGlance:
    """The last frame as a small picture, `(24, 24, 3)` uint8, and how much changed of late."""

    picture: Image
    unrest: float = UNKNOWN


def glance(frame: Image) -> Image:
    """A frame `(H, W, 3)` uint8 as a small picture."""
    step = max(min(frame.shape[:2]) // SAMPLED_PX, 1)
    small = cv2.resize(frame[::step, ::step], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def follow(scene: SceneGlance | None, frame: Image) -> tuple[SceneGlance, bool]:
    """The scene with this frame as its last one, and whether there was a cut before it."""
    now = glance(frame)
    if scene is None:
        return SceneGlance(now), False
    changed = change(scene.picture, now)
    sudden = changed > SUDDEN * max(scene.unrest, CALM_FLOOR)
    is_cut = changed > WHOLE or (changed > PART and sudden)
    return SceneGlance(now, max(changed, scene.unrest * CALMING)), is_cut


def change(before: Image, now: Image) -> float:
    """One less the best correlation of two small pictures, shifted by a pixel at most: 0 for the
    same, 1 for unrelated ones."""
    found = overlaps_by_shift(_centred(before), _centred(now), SHIFT_PX)
    powers = np.maximum([found.power_before, found.power_now], 0)
    contrasts = np.sqrt(powers / found.size)
    floor = FAINTEST**2 * found.size
    differences = 1 - (found.product + floor) / (np.sqrt(powers[0] * powers[1]) + floor)
    unlike = (contrasts.min(axis=0) < FAINTEST) & (contrasts.max(axis=0) > DISTINCT)
    return float(np.where(unlike, 1.0, differences).min())


def _centred(picture: Image) -> NDArray[np.float32]:
    pixels = picture.astype(np.float32)
    return np.asarray(pixels - pixels.mean(axis=(0, 1)), np.float32)
