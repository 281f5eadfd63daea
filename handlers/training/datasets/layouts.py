"""Sets of annotated faces in their official folders, by the names of layouts.

300-W (Sagonas et al. 2013, 2016) hands out `afw`, `helen/{trainset,testset}`, `ibug`,
`lfpw/{trainset,testset}` as pictures with `.pts` beside them, and its hidden test set as
`300W/{01_Indoor,02_Outdoor}/indoor_001.png`. The usual parts (Ren et al. 2014): train is
AFW and both training sets (3 148 faces), common both test sets (554), challenging iBUG
(135), full the last two (689), test the indoor and outdoor pictures (600).

The 3DA-2D annotation is 68 points of a 3D face, projected. LS3D-W (Bulat and Tzimiropoulos 2017)
keeps a `.t7` tensor (68, 2) beside every picture, in `300W-Testset-3D`, `Menpo-3D`,
`AFLW2000-3D-Reannotated`, `300VW-3D/CatA/<video>`, ... 300W-LP (Zhu et al. 2016) keeps
`landmarks/AFW/AFW_1_0_pts.mat` for `AFW/AFW_1_0.jpg`, with `pts_2d` and `pts_3d` (68, 2);
AFLW2000-3D keeps `pt3d_68` (3, 68) in a `.mat` beside each. The menpo challenge's release is
pictures with `.pts`. All were made with Matlab or Torch7, which count from 1, and are read like
iBUG's files.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.processing.arrays import Doubles, Floats
from handlers.training.datasets.folders import (
    FIRST_PIXEL,
    FaceSet,
    join,
    person_before_number,
    read_folder,
    read_pts,
)

TORCH_OBJECT = 4
ELEMENTS: dict[str, np.dtype[Any]] = {
    f"torch.{name}{container}": np.dtype(code)
    for name, code in (("Float", "<f4"), ("Double", "<f8"))
    for container in ("Tensor", "Storage")
}
MOST_DIMENSIONS = 8
MAT_KEYS = ("pts_3d", "pt3d_68")
AUTO = "auto"


def read_t7(path: Path) -> NDArray[np.floating[Any]]:
    """Read the float or double tensor in a Torch7 `.t7` file: numbers only, nothing is executed.

    Binary Torch7 serialisation (torch7's File and Tensor documentation), little-endian: an object
    is a type number, an index, the version `V 1`, a class name, then its content. A tensor's
    content is its number of dimensions, sizes, strides and offset in elements (counted from 1),
    then its storage, an object of its own: a length and the raw elements.

    Raises ValueError where the file holds anything else, or is cut short.
    """
    reader = _Reader(path, path.read_bytes())
    try:
        return _tensor(reader)
    except struct.error as error:
        raise ValueError(f"{path}: ends inside its tensor") from error


@dataclass
class _Reader:
    path: Path
    data: bytes
    at: int = 0

    def numbers(self, kind: str, count: int) -> tuple[int, ...]:
        layout = f"<{count}{kind}"
        values: tuple[int, ...] = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def text(self) -> str:
        (length,) = self.numbers("i", 1)
        found = self.data[self.at : self.at + max(length, 0)]
        self.at += len(found)
        return found.decode("ascii", errors="replace")

    def element_of(self, container: str) -> np.dtype[Any]:
        """Enter an object and say which numbers its class holds."""
        kind, _ = self.numbers("i", 2)
        name = ""
        if kind == TORCH_OBJECT and self.text() == "V 1":
            name = self.text()
        element = ELEMENTS.get(name)
        if element is None or not name.endswith(container):
            raise ValueError(f"{self.path}: expected a float or double {container}, found {name!r}")
        return element


def _tensor(reader: _Reader) -> NDArray[np.floating[Any]]:
    reader.element_of("Tensor")
    (dimensions,) = reader.numbers("i", 1)
    if not 0 < dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"{reader.path}: a tensor of {dimensions} dimensions")
    sizes = reader.numbers("q", dimensions)
    strides = reader.numbers("q", dimensions)
    (offset,) = reader.numbers("q", 1)
    element = reader.element_of("Storage")
    (length,) = reader.numbers("q", 1)
    last = (
        offset - 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    )
    if min((*sizes, *strides, offset)) < 1 or last >= length:
        raise ValueError(f"{reader.path}: the tensor reaches outside its storage")
    raw = reader.data[reader.at : reader.at + length * element.itemsize]
    if len(raw) < length * element.itemsize:
        raise ValueError(f"{reader.path}: ends inside its tensor")
    steps = [stride * element.itemsize for stride in strides]
    return np.ndarray(sizes, element, raw, (offset - 1) * element.itemsize, steps).copy()


def read_ls3d(root: Path) -> FaceSet:
    """Read every picture under `root` with 3DA-2D landmarks in one of the layouts above.

    Raises:
        ValueError: `root` is no folder, or an annotation is broken or not 68 points.
    """

    def landmarks(image: Path) -> Floats | str:
        annotation = _annotation(root, image)
        return "no 3DA-2D landmarks" if annotation is None else _read(annotation)

    return read_folder(root, landmarks=landmarks)


def _annotation(root: Path, image: Path) -> Path | None:
    inside = image.relative_to(root).with_suffix("")
    candidates = (
        image.with_suffix(".t7"),
        image.with_suffix(".pts"),
        root / "landmarks" / inside.parent / f"{inside.name}_pts.mat",
        image.with_suffix(".mat"),
    )
    return next((path for path in candidates if path.is_file()), None)


def _read(path: Path) -> Floats:
    if path.suffix == ".pts":
        return read_pts(path)
    points = read_t7(path) if path.suffix == ".t7" else _read_mat(path)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"{path}: expected 68 finite (x, y), found shape {points.shape}")
    return (points - FIRST_PIXEL).astype(np.float32)


def _read_mat(path: Path) -> Doubles:
    from scipy.io import loadmat  # type: ignore[import-untyped]

    content = loadmat(path, variable_names=MAT_KEYS)
    for key in MAT_KEYS:
        if key in content:
            points = np.asarray(content[key], dtype=np.float64)
            return points[:2].T if points.shape == (3, 68) else points
    raise ValueError(f"{path}: has none of {', '.join(MAT_KEYS)}")


# The folders of the parts of 300-W, below the one that holds `afw`, `helen`, `ibug`, ...
PARTS_300W = {
    "train": ("lfpw/trainset", "helen/trainset", "afw"),
    "common": ("lfpw/testset", "helen/testset"),
    "challenging": ("ibug",),
    "full": ("lfpw/testset", "helen/testset", "ibug"),
    "test": ("300W/01_Indoor", "300W/02_Outdoor"),
}


def read_parts(root: Path, names: Sequence[str]) -> FaceSet:
    """Read several folders of 300-W; raises ValueError naming one that is missing."""
    return join([read_folder(_part(root, name), name) for name in names])


def read_half(root: Path, name: str) -> FaceSet:
    """Read the folder `trainset` or `testset` below `root`, called such as `helen/trainset`."""
    return read_folder(root / name.rpartition("/")[2], name)


def read_menpo(root: Path) -> FaceSet:
    """Read the semi-frontal faces of Menpo 2D (Zafeiriou et al. 2017, 2018).

    The training release is one folder of pictures with `.pts` beside them, 68 points for the
    5 658 semi-frontal faces and 39 for the 1 906 profiles, which are counted in `skipped`; the
    test release parts them into `semifrontal` and `profile` (Deng et al. 2018 describe both).
    Raises ValueError where `root` is no folder, or a `.pts` file is broken.
    """
    faces = read_folder(root, "menpo")
    other = {key for key in faces.skipped if key.endswith(" points")} - {"39 points"}
    if other:
        raise ValueError(f"{root}: Menpo has faces of 68 or 39 points, found also {sorted(other)}")
    return faces


def _part(root: Path, name: str) -> Path:
    """Return a part's folder; the archive of the test set may be unpacked with or without
    `300W/`."""
    short = name.removeprefix("300W/")
    for folder in (root / name, root / short, root / "300w" / short):
        if folder.is_dir():
            return folder
    raise ValueError(f"{root}: 300-W should have the folder {name}")


# HELEN (Le et al. 2012), LFPW (Belhumeur et al. 2011) and AFW (Zhu and Ramanan 2012) are in 300-W's
# annotation; frames of YouTube Faces (Wolf et al. 2011) are named `Person_Name_00.jpg`.
LAYOUTS: dict[str, Callable[[Path], FaceSet]] = {
    **{f"300w-{part}": partial(read_parts, names=names) for part, names in PARTS_300W.items()},
    **{
        f"{name}-{half}": partial(read_half, name=f"{name}/{half}set")
        for name in ("helen", "lfpw")
        for half in ("train", "test")
    },
    "afw": partial(read_folder, source="afw"),
    "menpo": read_menpo,
    "ls3d-w": read_ls3d,
    "youtube-faces": partial(read_folder, person=person_before_number),
    "folder": read_folder,
}


def read_layout(root: Path, layout: str = AUTO) -> FaceSet:
    """Read the faces of a folder in one of `LAYOUTS`, or in the one that it looks like.

    `auto` takes a folder with the test pictures of 300-W for `300w-test`, one named
    `youtube_faces` (or inside such a one) for `youtube-faces`, one with `.t7` files for
    `ls3d-w`, and any other for pictures with `.pts` beside them.

    Raises:
        ValueError: the layout is unknown, the folder does not have it, or holds no face.
    """
    name = guess_layout(root) if layout == AUTO else layout
    if name not in LAYOUTS:
        raise ValueError(f"layout {name!r} is unknown, expected {AUTO} or one of {list(LAYOUTS)}")
    faces = LAYOUTS[name](root)
    if not len(faces):
        raise ValueError(f"{root}: no face in layout {name}, left out: {dict(faces.skipped)}")
    return faces


def guess_layout(root: Path) -> str:
    """Return the name of the layout that a folder seems to have."""
    if any((root / part / "01_Indoor").is_dir() for part in ("", "300W", "300w")):
        return "300w-test"
    if "youtube_faces" in root.resolve().parts:
        return "youtube-faces"
    if next(root.rglob("*.t7"), None) is not None:
        return "ls3d-w"
    return "folder"
