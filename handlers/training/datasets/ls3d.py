"""The 3DA-2D annotation (68 points of a 3D face, projected) in its official layouts to faces.

LS3D-W (Bulat and Tzimiropoulos 2017) keeps a `.t7` tensor (68, 2) beside every picture, in
`300W-Testset-3D`, `Menpo-3D`, `AFLW2000-3D-Reannotated`, `300VW-3D/CatA/<video>`, ...
300W-LP (Zhu et al. 2016) keeps `landmarks/AFW/AFW_1_0_pts.mat` for `AFW/AFW_1_0.jpg`, with
`pts_2d` and `pts_3d` (68, 2); AFLW2000-3D keeps `pt3d_68` (3, 68) in a `.mat` beside each.
The menpo challenge's 3DA-2D release is pictures with `.pts`. All were made with Matlab or
Torch7, which count from 1, and are read like iBUG's files.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handlers.training.datasets.folders import folder_name, images_under
from handlers.training.datasets.pts import FIRST_PIXEL, read_pts
from handlers.training.datasets.records import FaceSample, FaceSet
from handlers.training.datasets.torch7 import read_t7

MAT_KEYS = ("pts_3d", "pt3d_68")


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
