"""A folder of pictures with `.pts` files beside them to faces: the layout most sets share."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from handlers.training.datasets.pts import count_points, read_pts
from handlers.training.datasets.records import FaceSample, FaceSet

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
LANDMARKS = 68

Person = Callable[[Path], str | None]


def nobody(_: Path) -> str | None:
    """The set does not say who a face belongs to."""
    return None


def person_before_number(image: Path) -> str | None:
    """`Adrian_Nastase_10.jpg` shows Adrian_Nastase; a name without a number shows nobody."""
    match = re.fullmatch(r"(.+)_\d+", image.stem)
    return match[1] if match else None


def read_folder(root: Path, source: str | None = None, person: Person = nobody) -> FaceSet:
    """Every picture under `root`, at any depth, that has a 68-point `.pts` beside it.

    The source of a face is `source` or, by default, its folder named from `root` on.
    Pictures without `.pts`, faces with another number of points (39 in Menpo profiles) and
    the mirrored copies that some re-packings of 300-W add are left out and counted.

    Raises:
        ValueError: `root` is no folder, or a `.pts` file is broken.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    samples: list[FaceSample] = []
    skipped: dict[str, int] = {}
    for image in images_under(root):
        reason = _reason_to_skip(image)
        if reason is not None:
            skipped[reason] = skipped.get(reason, 0) + 1
            continue
        landmarks = read_pts(image.with_suffix(".pts"), LANDMARKS)
        where = source if source is not None else folder_name(root, image)
        samples.append(FaceSample(image, landmarks, person(image), where))
    return FaceSet(tuple(samples), skipped)


def images_under(root: Path) -> Iterator[Path]:
    """The pictures below a folder, sorted by path."""
    return (path for path in sorted(root.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES)


def folder_name(root: Path, image: Path) -> str:
    """The folder of a picture, written from `root`'s own name on."""
    return "/".join((root.name, *image.parent.relative_to(root).parts))


def _reason_to_skip(image: Path) -> str | None:
    annotation = image.with_suffix(".pts")
    if image.stem.endswith("_mirror"):
        return "mirrored copy"
    if not annotation.is_file():
        return "no .pts beside it"
    found = count_points(annotation)
    return None if found == LANDMARKS else f"{found} points"
