"""The 3DA-2D annotation (68 points of a 3D face, projected) in its official layouts to faces.

LS3D-W (Bulat and Tzimiropoulos 2017) keeps a `.t7` tensor (68, 2) beside every picture, in
`300W-Testset-3D`, `Menpo-3D`, `AFLW2000-3D-Reannotated`, `300VW-3D/CatA/<video>`, ...
300W-LP (Zhu et al. 2016) keeps `landmarks/AFW/AFW_1_0_pts.mat` for `AFW/AFW_1_0.jpg`, with
`pts_2d` and `pts_3d` (68, 2); AFLW2000-3D keeps `pt3d_68` (3, 68) in a `.mat` beside each.
The menpo challenge's 3DA-2D release is pictures with `.pts`. All were made with Matlab or
Torch7, which count from 1, and are read like iBUG's files.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.training.datasets.folders import FaceSample, FaceSet, folder_name, images_under
from handlers.training.datasets.pts import FIRST_PIXEL, read_pts

TORCH_OBJECT = 4
ELEMENTS: dict[str, np.dtype[Any]] = {
    f"torch.{name}{container}": np.dtype(code)
    for name, code in (("Float", "<f4"), ("Double", "<f8"))
    for container in ("Tensor", "Storage")
}
MOST_DIMENSIONS = 8
MAT_KEYS = ("pts_3d", "pt3d_68")


def read_t7(path: Path) -> NDArray[np.floating[Any]]:
    """The float or double tensor in a Torch7 `.t7` file: numbers only, nothing is executed.

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
    """Every picture under `root` with 3DA-2D landmarks in one of the layouts above.

    Raises:
        ValueError: `root` is no folder, or an annotation is broken or not 68 points.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    samples: list[FaceSample] = []
    missing = 0
    for image in images_under(root):
        annotation = _annotation(root, image)
        if annotation is None:
            missing += 1
            continue
        landmarks = _read(annotation)
        samples.append(FaceSample(image, landmarks, None, folder_name(root, image)))
    return FaceSet(tuple(samples), {"no 3DA-2D landmarks": missing} if missing else {})


def _annotation(root: Path, image: Path) -> Path | None:
    inside = image.relative_to(root).with_suffix("")
    candidates = (
        image.with_suffix(".t7"),
        image.with_suffix(".pts"),
        root / "landmarks" / inside.parent / f"{inside.name}_pts.mat",
        image.with_suffix(".mat"),
    )
    return next((path for path in candidates if path.is_file()), None)


def _read(path: Path) -> NDArray[np.float32]:
    if path.suffix == ".pts":
        return read_pts(path)
    points = read_t7(path) if path.suffix == ".t7" else _read_mat(path)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"{path}: expected 68 finite (x, y), found shape {points.shape}")
    return (points - FIRST_PIXEL).astype(np.float32)


def _read_mat(path: Path) -> NDArray[np.float64]:
    from scipy.io import loadmat  # type: ignore[import-untyped]

    content = loadmat(path, variable_names=MAT_KEYS)
    for key in MAT_KEYS:
        if key in content:
            points = np.asarray(content[key], dtype=np.float64)
            return points[:2].T if points.shape == (3, 68) else points
    raise ValueError(f"{path}: has none of {', '.join(MAT_KEYS)}")
