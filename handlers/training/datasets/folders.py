"""Annotated faces as readers yield them, and a folder of pictures with landmarks beside them.

The format `.pts` of the 300-W re-annotations (Sagonas et al. 2013): a header of `version: 1` and
`n_points: 68`, then one `x y` pair a line between braces, in pixels that count from 1.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.networks.actions import ACTIONS
from handlers.processing.arrays import Floats, Image

FIRST_PIXEL = 1.0  # iBUG annotated in Matlab: its top-left pixel is (1, 1), ours is (0, 0)
UNKNOWN = np.full(len(ACTIONS), np.nan, np.float32)
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
LANDMARKS = 68
Person = Callable[[Path], str | None]
Look = Callable[[Path], Floats | str]  # a picture's landmarks, or why it has none


def count_points(path: Path) -> int:
    """Return the number of points that the header of a `.pts` file declares.

    Raises:
        ValueError: the file has no readable `n_points` line.
    """
    return _split(path)[0]


def read_pts(path: Path, n_points: int = 68) -> Floats:
    """Read landmarks of a `.pts` file, float32 `(n_points, 2)` `(x, y)` in pixels counted from 0.

    Raises:
        ValueError: the header or braces are missing, or the file declares or holds another
            number of points than `n_points`, or a line that is no pair of finite numbers.
    """
    declared, lines = _split(path)
    if declared != n_points:
        raise ValueError(f"{path}: declares {declared} points, expected {n_points}")
    if len(lines) != declared:
        raise ValueError(f"{path}: declares {declared} points but holds {len(lines)}")
    points = np.array([_pair(path, line) for line in lines], dtype=np.float64)
    return (points - FIRST_PIXEL).astype(np.float32)


def write_pts(path: Path, landmarks: NDArray[np.floating]) -> None:
    """Write landmarks `(N, 2)` `(x, y)`, pixels counted from 0, as an iBUG `.pts` file.

    Raises:
        ValueError: the array is not `(N, 2)` or holds a number that is not finite.
    """
    if landmarks.ndim != 2 or landmarks.shape[1] != 2:
        raise ValueError(f"{path}: landmarks must be (N, 2), got {landmarks.shape}")
    if not np.isfinite(landmarks).all():
        raise ValueError(f"{path}: landmarks must be finite")
    rows = "".join(f"{x:.6f} {y:.6f}\n" for x, y in landmarks.astype(np.float64) + FIRST_PIXEL)
    path.write_text(f"version: 1\nn_points: {len(landmarks)}\n{{\n{rows}}}\n", encoding="ascii")


def _split(path: Path) -> tuple[int, list[str]]:
    """Return the declared number of points and the lines between the braces."""
    text = path.read_text(encoding="utf-8", errors="replace")
    parts = re.match(r"(.*?)\{(.*?)\}", text, re.DOTALL)
    if parts is None:
        raise ValueError(f"{path}: no points between braces, this is no .pts file")
    declared = re.search(r"^\s*n_points\s*:\s*(\d+)\s*$", parts[1], re.MULTILINE)
    if declared is None:
        raise ValueError(f"{path}: the header has no 'n_points: <number>' line")
    return int(declared[1]), [line for line in parts[2].splitlines() if line.strip()]


def _pair(path: Path, line: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in line.split())
    except ValueError as error:
        raise ValueError(f"{path}: expected 'x y', found {line.strip()!r}") from error
    if not (np.isfinite(x) and np.isfinite(y)):
        raise ValueError(f"{path}: a coordinate is not finite: {line.strip()!r}")
    return x, y


class Labelled(NamedTuple):
    """A picture, its landmarks `(68 or 70, 2)` in its pixels, and actions `(A,)`, or NaN."""

    picture: Path
    points: Floats
    actions: Floats


def read_points(folder: Path) -> Iterator[Labelled]:
    """Read the faces of a folder with `.pts` files. Raises FileNotFoundError where
    something lacks."""
    paths = sorted(folder.rglob("*.pts"))
    if not paths:
        raise FileNotFoundError(f"no .pts file under {folder}")
    for path in paths:
        pictures = (p for s in (".jpg", ".png") if (p := path.with_suffix(s)).exists())
        if (picture := next(pictures, None)) is None:
            raise FileNotFoundError(f"no picture beside {path}")
        yield Labelled(picture, read_pts(path), UNKNOWN)


def read_labels(path: Path, folder: Path) -> Iterator[Labelled]:
    """Read the faces of an `.npz` file, such as a teacher's answers make up.

    It holds `pictures` (names below `folder`), `points` `(N, 70, 2)` (the 68 landmarks and the
    irises, in pixels from 0), `actions` `(N, A)`, and `names`, which ARKit calls those A; what is
    not known is not a number. Raises FileNotFoundError that says what is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no labels {path}: docs/training-labels.md tells how to make them; without `labels` "
            "a recipe's source learns from .pts files alone"
        )
    with np.load(path, allow_pickle=False) as held:
        names = [str(name) for name in held["names"]]
        order = [names.index(action) for action in ACTIONS]
        rows = zip(held["pictures"], held["points"], held["actions"][:, order], strict=True)
        for picture, points, actions in rows:
            yield Labelled(folder / str(picture), points, actions)


@dataclass(frozen=True, slots=True, eq=False)
class FaceSample:
    """One annotated face of a picture.

    Attributes:
        image_path: the picture, any size; a picture with two faces stands in two samples.
        landmarks: float32 `(68, 2)` `(x, y)`, pixels of that picture counted from 0.
        person: who it is, where the data set tells; splits keep a person on one side.
        source: the set and part it comes from, such as `helen/testset`.
    """

    image_path: Path
    landmarks: Floats
    person: str | None
    source: str


@dataclass(frozen=True, slots=True)
class FaceSet:
    """The faces of one set, and how many files were left out for which reason."""

    samples: tuple[FaceSample, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[FaceSample]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)


def join(sets: list[FaceSet]) -> FaceSet:
    """Return all faces of several sets, their skip counts added up."""
    skipped: Counter[str] = Counter()
    for part in sets:
        skipped.update(part.skipped)
    return FaceSet(tuple(sample for part in sets for sample in part), dict(skipped))


def nobody(_: Path) -> str | None:
    """Name nobody: the set does not say who a face belongs to."""
    return None


def person_before_number(image: Path) -> str | None:
    """Name whom a file shows: `Adrian_Nastase_10.jpg` Adrian_Nastase, one without a number
    nobody."""
    match = re.fullmatch(r"(.+)_\d+", image.stem)
    return match[1] if match else None


def beside(image: Path) -> Floats | str:
    """Return the landmarks of the 68-point `.pts` beside a picture, or why there are none.

    Faces with another number of points (39 in Menpo profiles) and the mirrored copies that some
    re-packings of 300-W add are left out.
    """
    annotation = image.with_suffix(".pts")
    if image.stem.endswith("_mirror"):
        return "mirrored copy"
    if not annotation.is_file():
        return "no .pts beside it"
    found = count_points(annotation)
    return read_pts(annotation) if found == LANDMARKS else f"{found} points"


def read_folder(
    root: Path, source: str | None = None, person: Person = nobody, landmarks: Look = beside
) -> FaceSet:
    """Read every picture under `root`, at any depth, of which `landmarks` finds the landmarks.

    The source of a face is `source` or, by default, its folder named from `root` on. Pictures
    without landmarks are left out and counted.

    Raises:
        ValueError: `root` is no folder, or an annotation is broken.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    samples: list[FaceSample] = []
    skipped: Counter[str] = Counter()
    for image in images_under(root):
        found = landmarks(image)
        if isinstance(found, str):
            skipped[found] += 1
            continue
        folder = "/".join((root.name, *image.parent.relative_to(root).parts))
        samples.append(FaceSample(image, found, person(image), source or folder))
    return FaceSet(tuple(samples), dict(skipped))


def images_under(root: Path) -> Iterator[Path]:
    """Return the pictures below a folder, sorted by path."""
    return (path for path in sorted(root.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES)


def read_picture(path: Path) -> Image:
    """Read a picture as its annotators saw it: RGB `(H, W, 3)`, any EXIF orientation ignored.

    Raises ValueError if it cannot be decoded.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError(f"{path}: no picture that can be decoded")
    return np.asarray(pixels, np.uint8)
