"""One row of `affect` as it came -> frames, times, sound and options, checked."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from handlers.base import INVALID_REQUEST, InputError
from handlers.predictors.affect_run import Heard
from handlers.processing.image import INVALID_IMAGE, TOO_MANY_PIXELS, ImageError, decode_image
from handlers.processing.mel import RATE_HZ

Image = NDArray[np.uint8]

INVALID_SOUND, INVALID_TIME = "invalid-sound", "invalid-time"
MOST_FRAMES = 8
MOST_SOUND_S = 60
MOST_START = 2**48
SMALLEST_FACE_PX = 12


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
        if unknown := sorted(options.keys() - {field.name for field in fields(cls)}):
            refuse(INVALID_REQUEST, f"options {', '.join(unknown)} are unknown")
        given = cls(**{"variant": default, **options})
        _check_whole("min_face_px", given.min_face_px, SMALLEST_FACE_PX, 2**31)
        _check_whole("max_pixels", given.max_pixels, 1, 2**40)
        if given.variant not in variants:
            if isinstance(given.variant, str) and given.variant in missing:
                refuse(INVALID_REQUEST, f"variant {given.variant}: {missing[given.variant]}")
            known = ", ".join(variants)
            refuse(INVALID_REQUEST, f"variant is {given.variant!r:.40}; known are {known}")
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
        kind = type(value).__name__
        refuse(INVALID_REQUEST, f"inputs.frames is a {kind}; a list is needed")
    if len(value) > MOST_FRAMES:
        refuse(INVALID_REQUEST, f"{len(value)} frames; at most {MOST_FRAMES} are taken at once")
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
        refuse(INVALID_TIME, f"inputs.times_s is {value!r:.60}; {count} numbers are needed")
    last = after_s
    for one in value:
        if isinstance(one, bool) or not isinstance(one, int | float) or not math.isfinite(one):
            refuse(INVALID_TIME, f"times_s holds {one!r:.40}; finite seconds are needed")
        if one <= last:
            refuse(INVALID_TIME, f"{one} s does not come after {last} s: times must increase")
        last = float(one)
    return tuple(float(one) for one in value)


def read_sound(value: object) -> Heard | None:
    """None, or `{"start": int, "pcm": int16 (N,)}`, mono at 22 050 Hz."""
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"start", "pcm"}:
        refuse(INVALID_SOUND, "inputs.sound is no map of start and pcm")
    start, pcm = value["start"], value["pcm"]
    if type(start) is not int or not -MOST_START <= start <= MOST_START:
        refuse(INVALID_SOUND, f"sound.start is {start!r:.40}; the index of a sample is needed")
    if not isinstance(pcm, np.ndarray) or pcm.dtype != np.int16 or pcm.ndim != 1:
        got = f"{pcm.dtype} {pcm.shape}" if isinstance(pcm, np.ndarray) else type(pcm).__name__
        refuse(INVALID_SOUND, f"sound.pcm is {got}; int16 of one axis is needed")
    if len(pcm) > MOST_SOUND_S * RATE_HZ:
        length_s = len(pcm) / RATE_HZ
        refuse(
            INVALID_SOUND, f"sound of {length_s:.1f} s; at most {MOST_SOUND_S} s are taken at once"
        )
    return Heard(start, pcm)


def refuse(kind: str, detail: str) -> NoReturn:
    raise InputError(kind, detail)


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
        refuse(
            INVALID_REQUEST, f"{name} is a {type(entry).__name__}; bytes, array or nil is needed"
        )
    fits = entry.dtype == np.uint8 and entry.ndim == 3 and entry.shape[2] == 3 and entry.size
    if not fits:
        refuse(INVALID_IMAGE, f"{name} is {entry.dtype} {entry.shape}; uint8 (H, W, 3) is needed")
    if entry.shape[0] * entry.shape[1] > max_pixels:
        height, width = entry.shape[:2]
        refuse(TOO_MANY_PIXELS, f"{name} has {width} x {height} pixels; at most {max_pixels} fit")
    return entry, ()


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        detail = f"{name} is {value!r:.40}; a whole number from {least} to {most} is needed"
        refuse(INVALID_REQUEST, detail)
