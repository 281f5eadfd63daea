"""One row of `affect` as it came -> frames, times, sound and options, checked."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.base import InputError
from handlers.predictors.affect.run import Heard
from handlers.processing.image import INVALID_IMAGE, TOO_MANY_PIXELS, ImageError, decode_image
from handlers.processing.mel import RATE_HZ
from handlers.row_checks import check_names, check_pixels, refuse

Image = NDArray[np.uint8]

INVALID_SOUND, INVALID_TIME = "invalid-sound", "invalid-time"
MOST_FRAMES = 8
MOST_SOUND_S = 60
MOST_START = 2**48


@dataclass(frozen=True)
class AffectRowOptions:
    """How one row is to be treated.

    `variant` is one of the store's; `min_face_px` is the side of the smallest face searched for,
    `max_pixels` bounds width x height of a frame.
    """

    variant: str
    min_face_px: int = 40
    max_pixels: int = 8_300_000

    @classmethod
    def parse(
        cls,
        options: Mapping[str, Any],
        variants: Sequence[str],
        default: str,
        missing: Mapping[str, str],
    ) -> "AffectRowOptions":
        """Check what came with a row; raises InputError.

        `missing` names variants that cannot be served, each with the reason.
        """
        check_names(options, cls)
        given = cls(**{"variant": default, **options})
        check_pixels(given.min_face_px, given.max_pixels)
        if given.variant not in variants:
            if isinstance(given.variant, str) and given.variant in missing:
                refuse(f"variant {given.variant}: {missing[given.variant]}")
            refuse(f"variant is {given.variant!r:.40}; known are {', '.join(variants)}")
        return given


@dataclass(frozen=True)
class Frames:
    """Decoded frames, uint8 RGB `(H, W, 3)` or None, what was done to them, how long it took."""

    images: tuple[Image | None, ...]
    notes: tuple[str, ...]
    decode_ms: float


def read_frames(value: object, max_pixels: int) -> Frames:
    """Up to 8 entries, each encoded bytes, an array `(H, W, 3)` uint8 RGB, or None."""
    if not isinstance(value, list):
        refuse(f"inputs.frames is a {type(value).__name__}; a list is needed")
    if len(value) > MOST_FRAMES:
        refuse(f"{len(value)} frames; at most {MOST_FRAMES} are taken at once")
    start = time.perf_counter()
    images: list[Image | None] = []
    notes: dict[str, None] = {}
    for index, entry in enumerate(value):
        image, told = _read_frame(entry, max_pixels, f"frame {index}")
        images.append(image)
        notes |= dict.fromkeys(told)
    return Frames(tuple(images), tuple(notes), (time.perf_counter() - start) * 1000)


def read_times(value: object, count: int, after_s: float) -> tuple[float, ...]:
    """As many times in seconds as frames, increasing, later than `after_s`."""
    if not isinstance(value, list) or len(value) != count:
        refuse(f"inputs.times_s is {value!r:.60}; {count} numbers are needed", INVALID_TIME)
    last = after_s
    for one in value:
        if isinstance(one, bool) or not isinstance(one, int | float) or not math.isfinite(one):
            refuse(f"times_s holds {one!r:.40}; finite seconds are needed", INVALID_TIME)
        if one <= last:
            refuse(f"{one} s does not come after {last} s: times must increase", INVALID_TIME)
        last = float(one)
    return tuple(float(one) for one in value)


def read_sound(value: object) -> Heard | None:
    """None, or `{"start": int, "pcm": int16 (N,)}`, mono at 22 050 Hz."""
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"start", "pcm"}:
        refuse("inputs.sound is no map of start and pcm", INVALID_SOUND)
    start, pcm = value["start"], value["pcm"]
    if type(start) is not int or not -MOST_START <= start <= MOST_START:
        refuse(f"sound.start is {start!r:.40}; the index of a sample is needed", INVALID_SOUND)
    if not isinstance(pcm, np.ndarray) or pcm.dtype != np.int16 or pcm.ndim != 1:
        got = f"{pcm.dtype} {pcm.shape}" if isinstance(pcm, np.ndarray) else type(pcm).__name__
        refuse(f"sound.pcm is {got}; int16 of one axis is needed", INVALID_SOUND)
    if len(pcm) > MOST_SOUND_S * RATE_HZ:
        length_s = len(pcm) / RATE_HZ
        refuse(
            f"sound of {length_s:.1f} s; at most {MOST_SOUND_S} s are taken at once", INVALID_SOUND
        )
    return Heard(start, pcm)


def _read_frame(entry: object, max_pixels: int, name: str) -> tuple[Image | None, tuple[str, ...]]:
    if entry is None:
        return None, ()
    if isinstance(entry, bytes):
        try:
            decoded = decode_image(entry, max_pixels)
        except ImageError as error:
            raise InputError(error.type, f"{name}: {error.detail}") from error
        return decoded.pixels, decoded.notes
    if not isinstance(entry, np.ndarray):
        refuse(f"{name} is a {type(entry).__name__}; bytes, array or nil is needed")
    fits = entry.dtype == np.uint8 and entry.ndim == 3 and entry.shape[2] == 3 and entry.size
    if not fits:
        refuse(f"{name} is {entry.dtype} {entry.shape}; uint8 (H, W, 3) is needed", INVALID_IMAGE)
    if entry.shape[0] * entry.shape[1] > max_pixels:
        height, width = entry.shape[:2]
        refuse(f"{name} has {width} x {height} pixels; at most {max_pixels} fit", TOO_MANY_PIXELS)
    return entry, ()
