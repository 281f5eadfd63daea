"""Landmark files to the mean face: 68 points in the plane (Procrustes) and in space.

The shape in space comes from plane annotations alone, by structure from motion: a rank-3
factorization under weak perspective (Tomasi and Kanade 1992), refined by turns of fitting every
face's pose and then the shape. Mirrored copies of all faces make it symmetric.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.checkpoint import save_checkpoint
from handlers.processing.landmarks import MIRROR, N_POINTS, OUTER_EYE_CORNERS
from handlers.processing.similarity import FRAME_SIZE, procrustes_mean
from handlers.training.datasets.pts import read_pts

Floats = NDArray[np.float64]

FACE_SHARE = 0.68  # of the frame, the longer side of the mean shape's box
FACE_DROP = 5.0  # pixels that the box's centre lies below the frame's: room for the forehead
FAR_JAW_YAW_DEG = 8.0
LEFT_JAW, RIGHT_JAW = slice(0, 8), slice(9, 17)
NOSE_TIP = 30


@dataclass(frozen=True)
class Views:
    """How each of F faces is seen: `(F,)` scales, `(F, 3, 3)` rotations, `(F, 2)` shifts."""

    scale: Floats
    rotation: Floats
    shift: Floats

    def project(self, shape: Floats) -> Floats:
        """Points `(68, 3)` as each view shows them, `(F, 68, 2)`."""
        turned = np.einsum("fik,nk->fni", self.rotation[:, :2], shape)
        return np.asarray(self.scale[:, None, None] * turned + self.shift[:, None])


def fit_plane(faces: Floats) -> Floats:
    """The mean shape `(68, 2)` of faces `(F, 68, 2)`, symmetric, in pixels of the frame."""
    mean = procrustes_mean(with_mirrored(faces))
    mean = (mean + mean[MIRROR] * (-1, 1)) / 2
    eyes = mean[OUTER_EYE_CORNERS[1]] - mean[OUTER_EYE_CORNERS[0]]
    mean *= np.sign(eyes[0])
    low, high = mean.min(axis=0), mean.max(axis=0)
    scaled = (mean - (low + high) / 2) * FACE_SHARE * FRAME_SIZE / (high - low).max()
    return np.asarray(scaled + (FRAME_SIZE - 1) / 2 + (0.0, FACE_DROP))


def fit_space(faces: Floats, rounds: int = 100) -> Floats:
    """The mean shape `(68, 3)`, symmetric, x right, y down, z away; outer eye corners 1 apart."""
    seen = normalized(with_mirrored(faces))
    shape, weights = factorize(seen), np.ones(seen.shape[:2])
    for _ in range(rounds):
        views = fit_views(seen, shape, weights)
        error = np.linalg.norm(seen - views.project(shape), axis=2)
        weights = jaw_visible(views.rotation) / (1 + (error / (2 * np.median(error))) ** 2)
        shape = fit_shape(seen, views, weights)
    left, right = OUTER_EYE_CORNERS
    return np.asarray(shape / (shape[right, 0] - shape[left, 0]))


def factorize(seen: Floats) -> Floats:
    """A first shape `(68, 3)`: the rank-3 factor of all views, made metric, turned to the front."""
    tracks = seen.transpose(0, 2, 1).reshape(-1, N_POINTS)
    left, values, right = np.linalg.svd(tracks, full_matrices=False)
    motion, shape = left[:, :3] * values[:3], right[:3]
    x, y = motion[0::2], motion[1::2]
    # Axes of one view are equally long and at right angles in the metric L that is sought.
    constraints = np.concatenate([_products(x, x) - _products(y, y), _products(x, y)])
    a, b, c, d, e, f = np.linalg.svd(constraints, full_matrices=False)[2][-1]
    metric = np.array([[a, b, c], [b, d, e], [c, e, f]])
    strengths, axes = np.linalg.eigh(metric * np.sign(np.trace(metric)))
    shape = (np.linalg.inv(axes * np.sqrt(np.maximum(strengths, 1e-9))) @ shape).T
    front = np.linalg.lstsq(shape, seen.mean(axis=0), rcond=None)[0].T
    u, _, vt = np.linalg.svd(front, full_matrices=False)
    first, second = u @ vt
    shape = shape @ np.stack([first, second, np.cross(first, second)]).T
    shape[:, 2] *= -np.sign(shape[NOSE_TIP, 2])  # the nose points at the camera
    return np.asarray(normalized(shape[None])[0])


def fit_views(seen: Floats, shape: Floats, weights: Floats, rounds: int = 4) -> Views:
    """The weighted weak-perspective views of `shape` `(68, 3)` that show faces `(F, 68, 2)`.

    An affine view starts; then each round lifts the faces to the depth of the last view, where
    the best rotation is a Procrustes problem.
    """
    share = weights / weights.sum(axis=1, keepdims=True)
    centre, middle = share @ shape, np.einsum("fn,fni->fi", share, seen)
    model, face = shape - centre[:, None], seen - middle[:, None]
    across = np.einsum("fn,fni,fnj->fij", share, face, model)
    affine = across @ np.linalg.inv(np.einsum("fn,fni,fnj->fij", share, model, model))
    u, sizes, vt = np.linalg.svd(affine, full_matrices=False)
    axes, scale = u @ vt, sizes.mean(axis=1)
    for _ in range(rounds):
        depth = np.einsum("fk,fnk->fn", np.cross(axes[:, 0], axes[:, 1]), model)
        lifted = np.concatenate([face, (scale[:, None] * depth)[:, :, None]], axis=2)
        rotation = _rotations(np.einsum("fn,fni,fnj->fij", share, lifted, model))
        axes = rotation[:, :2]
        flat = np.einsum("fik,fnk->fni", axes, model)
        size = np.einsum("fn,fni,fni->f", share, flat, flat)
        scale = np.einsum("fn,fni,fni->f", share, flat, face) / size
    shift = middle - scale[:, None] * np.einsum("fik,fk->fi", axes, centre)
    return Views(scale, rotation, shift)


def _rotations(products: Floats) -> Floats:
    """The rotations `(F, 3, 3)` nearest to matrices `(F, 3, 3)` (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(products)
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    return np.asarray(u @ vt)


def fit_shape(seen: Floats, views: Views, weights: Floats) -> Floats:
    """The weighted least-squares shape `(68, 3)` of all views, symmetric, centred, of unit size."""
    flat = (seen - views.shift[:, None]) / views.scale[:, None, None]
    axes = views.rotation[:, :2]
    square = np.einsum("fn,fik,fil->nkl", weights, axes, axes)
    shape = np.linalg.solve(square, np.einsum("fn,fik,fni->nk", weights, axes, flat)[:, :, None])
    whole = (shape[:, :, 0] + shape[MIRROR, :, 0] * (-1, 1, 1)) / 2
    return np.asarray(normalized(whole[None])[0])


def jaw_visible(rotation: Floats) -> Floats:
    """1 or 0 for each landmark `(F, 68)`: the far side of a turned face's jaw is not seen."""
    yaw = np.degrees(np.arcsin(np.clip(rotation[:, 0, 2], -1, 1)))
    visible = np.ones((len(yaw), N_POINTS))
    visible[:, LEFT_JAW] *= (yaw < FAR_JAW_YAW_DEG)[:, None]
    visible[:, RIGHT_JAW] *= (yaw > -FAR_JAW_YAW_DEG)[:, None]
    return visible


def with_mirrored(faces: Floats) -> Floats:
    return np.concatenate([faces, np.asarray(faces[:, MIRROR] * (-1, 1))])


def normalized(shapes: Floats) -> Floats:
    """Shapes `(F, 68, 2 or 3)` centred, the RMS radius of their x and y made 1."""
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    radius = np.sqrt((centred[..., :2] ** 2).sum(axis=2).mean(axis=1))
    return np.asarray(centred / radius[:, None, None])


def _products(a: Floats, b: Floats) -> Floats:
    """Rows that, times the six entries of a symmetric metric, give its product of a and b."""
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    return np.stack(
        [a[:, i] * b[:, j] + (a[:, j] * b[:, i] if i != j else 0) for i, j in pairs], axis=1
    )


def read_faces(folders: Sequence[Path]) -> Floats:
    """All `.pts` files of `folders` as `(F, 68, 2)`; raises ValueError where there are none."""
    files = [path for folder in folders for path in sorted(folder.glob("*.pts"))]
    if not files:
        raise ValueError(f"no .pts files in {', '.join(map(str, folders))}")
    return np.stack([read_pts(path) for path in files]).astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, nargs="+", required=True)
    parser.add_argument("--turned", type=Path, nargs="*", default=[], help="more poses, for depth")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    photographs = read_faces(arguments.photographs)
    everything = read_faces([*arguments.photographs, *arguments.turned])
    shapes = {"mean_shape": fit_plane(photographs), "mean_shape_3d": fit_space(everything)}
    config = {
        "licence": "Apache-2.0; measured on annotations for research, see README.md",
        "figures": {"photographs": len(photographs), "faces_in_space": len(everything)},
        "frame_size": FRAME_SIZE,
    }
    tensors = {name: torch.tensor(shape, dtype=torch.float32) for name, shape in shapes.items()}
    save_checkpoint(arguments.out, "face_shape", "1.0.0", config, tensors)


if __name__ == "__main__":
    main()
