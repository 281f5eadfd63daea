"""Reading of every handler's rows: pictures, boxes, times and sound; a mistake is named.

Options come as the service has checked them: their bounds are declared there and nowhere else. What
depends on the picture, the store or the session is checked here.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from handlers.base import INVALID_REQUEST, InputError
from handlers.predictors.affect.estimator import in_order
from handlers.predictors.affect.run import SMOOTHING_S, Heard
from handlers.predictors.detection.detector import MIN_FACE_PX
from handlers.processing.boxes import box_fault
from handlers.processing.image import (
    INVALID_IMAGE,
    TOO_MANY_PIXELS,
    DecodedImage,
    ImageError,
    decode_image,
)
from handlers.processing.landmarks import LEAST_QUALITY, N_POINTS
from handlers.processing.mel import RATE_HZ

MOST_FACES = 64
Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

INVALID_BOX = "invalid-box"

INVALID_SOUND, INVALID_TIME = "invalid-sound", "invalid-time"
MOST_FRAMES = 8
MOST_SOUND_S = 60
MOST_START = 2**48


def refuse(detail: str, type: str = INVALID_REQUEST) -> NoReturn:
    """Raise InputError."""
    raise InputError(type, detail)


def check_array(name: str, image: NDArray[Any], max_pixels: int) -> None:
    """Refuse an array that is no picture, uint8 RGB `(H, W, 3)`, or too large a one."""
    fits = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    if not fits:
        refuse(f"{name} is {image.dtype} {image.shape}; uint8 (H, W, 3) is needed", INVALID_IMAGE)
    if image.shape[0] * image.shape[1] > max_pixels:
        height, width = image.shape[:2]
        refuse(f"{name} has {width} x {height} pixels; at most {max_pixels} fit", TOO_MANY_PIXELS)


def read_picture(value: object, max_pixels: int) -> tuple[DecodedImage, float]:
    """Decode `inputs.image`, which may be an array already; return it and how many milliseconds
    that took; raises InputError.
    """
    if isinstance(value, np.ndarray):
        check_array("inputs.image", value, max_pixels)
        return DecodedImage(value, "RAW", rotated=False, frames=1, notes=()), 0.0
    if not isinstance(value, bytes):
        refuse(f"inputs.image is a {type(value).__name__}; the bytes of a picture are needed")
    start = time.perf_counter()
    try:
        image = decode_image(value, max_pixels)
    except ImageError as error:
        raise InputError(error.type, error.detail) from error
    return image, (time.perf_counter() - start) * 1000


def check_boxes(boxes: object, pixels: Image) -> list[Floats] | None:
    """Read the caller's boxes, `(4,)` each; raises InputError `invalid-box` naming the box."""
    if boxes is None:
        return None
    if not isinstance(boxes, list) or len(boxes) > MOST_FACES:
        raise InputError(INVALID_BOX, f"boxes are a list of at most {MOST_FACES} x1, y1, x2, y2")
    for index, box in enumerate(boxes):
        if wrong := box_fault(box, *pixels.shape[1::-1]):
            raise InputError(INVALID_BOX, f"boxes[{index}] {box!r:.80} {wrong}")
    return [np.asarray(box, np.float32) for box in boxes]


@dataclass(frozen=True)
class AlignOptions:
    """Options of one row of `align`.

    `boxes` are tight around the landmarks, `(x1, y1, x2, y2)` in pixels of the upright picture;
    they take the detector's place. `max_faces` and `min_face_px` tell the detector how many faces
    and how small ones to look for, `max_pixels` bounds width x height x frames. What the detector
    finds is a face from `min_quality` on.
    """

    boxes: list[list[float]] | None = None
    max_faces: int = MOST_FACES
    denoise: str = "auto"
    include: tuple[str, ...] = ()
    min_face_px: int = MIN_FACE_PX
    min_quality: float = LEAST_QUALITY
    max_pixels: int = 50_000_000

    @classmethod
    def parse(cls, options: dict[str, Any]) -> "AlignOptions":
        """Take what came with a row."""
        return cls(**{**options, "include": tuple(options.get("include") or ())})


@dataclass(frozen=True)
class AffectRowOptions:
    """Options of one row of `affect`.

    `variant` is one of the store's; `min_face_px` is the side of the smallest face searched for,
    `min_quality` the quality from which on it is one, `max_faces` says how many are followed,
    `smoothing_s` how fast estimates follow, `max_pixels` bounds width x height.
    """

    variant: str
    min_face_px: int = MIN_FACE_PX
    min_quality: float = LEAST_QUALITY
    max_faces: int = 1
    smoothing_s: float = SMOOTHING_S
    max_pixels: int = 8_300_000

    @classmethod
    def parse(
        cls,
        options: Mapping[str, Any],
        variants: Sequence[str],
        default: str,
        missing: Mapping[str, str],
    ) -> "AffectRowOptions":
        """Take what came with a row; raises InputError for a variant that is not served.

        `missing` names variants that cannot be served, each with the reason.
        """
        given = cls(**{"variant": default, **options})
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
    """Read up to 8 entries, each encoded bytes, an array `(H, W, 3)` uint8 RGB, or None."""
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
    """Read as many times in seconds as frames, increasing, later than `after_s`."""
    if not isinstance(value, list) or len(value) != count:
        refuse(f"inputs.times_s is {value!r:.60}; {count} numbers are needed", INVALID_TIME)
    last = after_s
    for one in value:
        # To Python True is the integer 1.
        if isinstance(one, bool) or not isinstance(one, int | float) or not math.isfinite(one):
            refuse(f"times_s holds {one!r:.40}; finite seconds are needed", INVALID_TIME)
        if one <= last:
            refuse(f"{one} s does not come after {last} s: times must increase", INVALID_TIME)
        last = float(one)
    return tuple(float(one) for one in value)


def read_sound(value: object) -> Heard | None:
    """Read None, or `{"start": int, "pcm": int16 (N,)}`, mono at 22 050 Hz."""
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
    check_array(name, entry, max_pixels)
    return entry, ()


def read_landmarks(value: Any, faces: int) -> list[Floats] | None:
    """Read each face's landmarks, None where they are not known."""
    if value is None:
        return None
    try:
        points = np.asarray(value, np.float32).reshape(faces, N_POINTS, 2)
    except (ValueError, TypeError):
        refuse(f"landmarks are {faces} times {N_POINTS} points x, y, as many as there are boxes")
    if not np.isfinite(points).all():
        refuse("landmarks are finite numbers")
    return list(points)


def read_actions(value: Any, faces: int) -> list[Floats | None] | None:
    """Read each face's actions by names, None where they are not known."""
    if value is None:
        return None
    try:
        if len(value) != faces:
            raise ValueError
        return [in_order(one) for one in value]
    except (KeyError, ValueError, TypeError):
        refuse(f"actions are {faces} times numbers by the names of all actions, or nil")
