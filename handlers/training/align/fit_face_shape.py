"""Landmark files to the mean face in the plane, and a kit of heads to the head in space.

    python -m handlers.training.align.fit_face_shape --photographs DATA/helen/train DATA/afw \\
        --heads ict_68.npz --out model_store/face_shape

The kit's file holds the 68 points of a head that changes shape, as ICT-FaceKit Light has them (Li
et al. 2020): `N` `(68, 3)` neutral, `I` `(people, 68, 3)` and `E` `(expressions, 68, 3)` what one
unit of each mode adds, in centimetres, y up, z towards the viewer. A person is a draw from a
standard normal distribution of the first, an expression a few of the second in part.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from handlers.checkpoint import save_checkpoint
from handlers.processing.arrays import Doubles
from handlers.processing.landmarks import (
    FRAME_SIZE,
    MIRROR,
    N_POINTS,
    OUTER_EYE_CORNERS,
    procrustes_mean,
)
from handlers.training.datasets.folders import read_pts

FACE_SHARE = 0.68  # of the frame, the longer side of the mean shape's box
FACE_DROP = 5.0  # pixels that the box's centre lies below the frame's: room for the forehead
TO_CAMERA = np.array([10.0, -10.0, -10.0])  # the kit's axes in cm to the camera's in mm
MODES = 16  # they carry 95 % of how heads differ; twice as many bring a tenth of a degree
SHOWN, STRONGEST = 0.12, 0.8  # the share of expressions that a face shows, and how much of each


@dataclass(frozen=True)
class ShapeKit:
    """The kit in the camera's axes and mm: `neutral` `(68, 3)`, two kinds of modes `(M, 68, 3)`."""

    neutral: Doubles
    people: Doubles
    expressions: Doubles

    @classmethod
    def read(cls, path: Path) -> "ShapeKit":
        """Read the kit's file; raises ValueError where it is none."""
        with np.load(path, allow_pickle=False) as file:
            if missing := sorted({"N", "I", "E"} - set(file.files)):
                raise ValueError(f"{path} lacks {', '.join(missing)}")
            parts = [np.asarray(file[name], np.float64) * TO_CAMERA for name in ("N", "I", "E")]
        if any(part.shape[-2:] != (N_POINTS, 3) for part in parts):
            raise ValueError(f"{path} holds no heads of {N_POINTS} points")
        return cls(*parts)

    def draw(self, rng: np.random.Generator) -> Doubles:
        """Draw somebody `(68, 3)` with some expression."""
        count = len(self.expressions)
        shown = (rng.random(count) < SHOWN) * rng.uniform(0, STRONGEST, count)
        person = np.tensordot(rng.standard_normal(len(self.people)), self.people, 1)
        return np.asarray(self.neutral + person + np.tensordot(shown, self.expressions, 1))


def fit_plane(faces: Doubles) -> Doubles:
    """Fit the mean shape `(68, 2)` of faces `(F, 68, 2)`, symmetric, in pixels of the frame."""
    mean = procrustes_mean(with_mirrored(faces))
    mean = (mean + mean[MIRROR] * (-1, 1)) / 2
    eyes = mean[OUTER_EYE_CORNERS[1]] - mean[OUTER_EYE_CORNERS[0]]
    mean *= np.sign(eyes[0])
    low, high = mean.min(axis=0), mean.max(axis=0)
    scaled = (mean - (low + high) / 2) * FACE_SHARE * FRAME_SIZE / (high - low).max()
    return np.asarray(scaled + (FRAME_SIZE - 1) / 2 + (0.0, FACE_DROP))


def fit_space(heads: ShapeKit, count: int = MODES) -> dict[str, Doubles]:
    """Fit `HeadModel`: mean `(68, 3)`, the `count` strongest modes `(68, 3, count)` and
    the spread `(68,)` of what they miss, in mm, exact for the distribution that `draw` draws from.
    """
    share = SHOWN * STRONGEST / 2
    variance = SHOWN * STRONGEST**2 / 3 - share**2
    people = heads.people.reshape(len(heads.people), -1)
    expressions = heads.expressions.reshape(len(heads.expressions), -1)
    covariance = people.T @ people + variance * expressions.T @ expressions
    strengths, modes = np.linalg.eigh(covariance)
    kept = modes[:, : -count - 1 : -1] * np.sqrt(strengths[: -count - 1 : -1])
    missed = np.maximum((covariance - kept @ kept.T).diagonal(), 0)
    return {
        "head_mean": heads.neutral + share * heads.expressions.sum(axis=0),
        "head_modes": kept.reshape(N_POINTS, 3, count),
        "head_spread": np.sqrt(missed.reshape(N_POINTS, 3).mean(axis=1)),
    }


def with_mirrored(faces: Doubles) -> Doubles:
    return np.concatenate([faces, np.asarray(faces[:, MIRROR] * (-1, 1))])


def read_faces(folders: Sequence[Path]) -> Doubles:
    """Read all `.pts` files of `folders` as `(F, 68, 2)`; raises ValueError where there are
    none."""
    files = [path for folder in folders for path in sorted(folder.glob("*.pts"))]
    if not files:
        raise ValueError(f"no .pts files in {', '.join(map(str, folders))}")
    return np.stack([read_pts(path) for path in files]).astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, nargs="+", required=True)
    parser.add_argument("--heads", type=Path, required=True, help="the kit's file")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    photographs = read_faces(arguments.photographs)
    shapes = {"mean_shape": fit_plane(photographs), **fit_space(ShapeKit.read(arguments.heads))}
    config = {
        "licence": "Apache-2.0 and MIT; see README.md",
        "figures": {"photographs": len(photographs), "modes": MODES},
        "frame_size": FRAME_SIZE,
    }
    tensors = {
        name: torch.tensor(shape.copy(), dtype=torch.float32) for name, shape in shapes.items()
    }
    save_checkpoint(arguments.out, "face_shape", "2.0.0", config, tensors)


if __name__ == "__main__":
    main()
