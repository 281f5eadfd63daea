"""What a caller may ask of the `align` model, checked."""

from dataclasses import dataclass, fields
from typing import Any, NoReturn

from handlers.base import INVALID_REQUEST, InputError

INCLUDES = ("aligned", "denoised", "overlay")
DENOISE = ("auto", "off")
MOST_FACES = 64
SMALLEST_FACE_PX = 12


@dataclass(frozen=True)
class AlignOptions:
    """How one row is to be treated.

    `boxes` are tight around the landmarks, `(x1, y1, x2, y2)` in pixels of the upright picture;
    they take the detector's place. `max_faces` and `min_face_px` tell the detector how many faces
    and how small ones to look for, `max_pixels` bounds width x height x frames.
    """

    boxes: list[list[float]] | None = None
    max_faces: int = MOST_FACES
    denoise: str = "auto"
    include: tuple[str, ...] = ()
    min_face_px: int = 40
    max_pixels: int = 50_000_000

    @classmethod
    def parse(cls, options: dict[str, Any]) -> "AlignOptions":
        """Check what came with a row; raises InputError."""
        if unknown := sorted(options.keys() - {field.name for field in fields(cls)}):
            refuse(f"options {', '.join(unknown)} are unknown")
        include = options.get("include") or []
        if not isinstance(include, list):
            refuse(f"include is a {type(include).__name__}; a list is needed")
        given = cls(**{**options, "include": tuple(include)})
        _check_whole("max_faces", given.max_faces, 1, MOST_FACES)
        _check_whole("min_face_px", given.min_face_px, SMALLEST_FACE_PX, 2**31)
        _check_whole("max_pixels", given.max_pixels, 1, 2**40)
        if given.denoise not in DENOISE:
            refuse(f"denoise is {given.denoise!r}; known are {', '.join(DENOISE)}")
        if unknown := [name for name in given.include if name not in INCLUDES]:
            refuse(f"include holds {unknown[0]!r}; known are {', '.join(INCLUDES)}")
        return given


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        refuse(f"{name} is {value!r:.40}; a whole number from {least} to {most} is needed")


def refuse(detail: str) -> NoReturn:
    raise InputError(INVALID_REQUEST, detail)
