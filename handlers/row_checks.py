"""What every handler checks of a row: options, and the bytes of a picture; a mistake is named."""

import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NoReturn

from handlers.base import INVALID_REQUEST, InputError
from handlers.processing.image import DecodedImage, ImageError, decode_image

SMALLEST_FACE_PX = 12


def refuse(detail: str, type: str = INVALID_REQUEST) -> NoReturn:
    """Raise InputError."""
    raise InputError(type, detail)


def check_names(options: Mapping[str, Any], known: type) -> None:
    """Refuse options that the dataclass `known` has no field for."""
    if unknown := sorted(options.keys() - {field.name for field in fields(known)}):
        refuse(f"options {', '.join(unknown)} are unknown")


def check_whole(name: str, value: object, least: int, most: int) -> None:
    """Refuse what is no whole number in these bounds."""
    if type(value) is not int or not least <= value <= most:
        refuse(f"{name} is {value!r:.40}; a whole number from {least} to {most} is needed")


def check_pixels(min_face_px: object, max_pixels: object) -> None:
    """Refuse a smallest face or a largest picture out of bounds."""
    check_whole("min_face_px", min_face_px, SMALLEST_FACE_PX, 2**31)
    check_whole("max_pixels", max_pixels, 1, 2**40)


def read_picture(value: object, max_pixels: int) -> tuple[DecodedImage, float]:
    """Decode `inputs.image`; return it and how many milliseconds that took; raises InputError."""
    if not isinstance(value, bytes):
        refuse(f"inputs.image is a {type(value).__name__}; the bytes of a picture are needed")
    start = time.perf_counter()
    try:
        image = decode_image(value, max_pixels)
    except ImageError as error:
        raise InputError(error.type, error.detail) from error
    return image, (time.perf_counter() - start) * 1000
