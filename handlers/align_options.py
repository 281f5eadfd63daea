"""What a caller may ask of the `align` model, checked."""

from dataclasses import dataclass
from typing import Any

from handlers.row_checks import check_names, check_pixels, check_whole, refuse

INCLUDES = ("aligned", "denoised", "overlay")
DENOISE = ("auto", "off")
MOST_FACES = 64


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
        check_names(options, cls)
        include = options.get("include") or []
        if not isinstance(include, list):
            refuse(f"include is a {type(include).__name__}; a list is needed")
        given = cls(**{**options, "include": tuple(include)})
        check_whole("max_faces", given.max_faces, 1, MOST_FACES)
        check_pixels(given.min_face_px, given.max_pixels)
        if given.denoise not in DENOISE:
            refuse(f"denoise is {given.denoise!r}; known are {', '.join(DENOISE)}")
        if unknown := [name for name in given.include if name not in INCLUDES]:
            refuse(f"include holds {unknown[0]!r}; known are {', '.join(INCLUDES)}")
        return given
