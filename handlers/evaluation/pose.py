"""`countenance evaluate pose`: the served head pose on people projected at known angles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from handlers.evaluation.output import new_table
from handlers.processing.arrays import Doubles
from handlers.processing.landmarks import OUTER_EYE_CORNERS
from handlers.processing.pose import HeadPose, PoseEstimator
from handlers.store import load_pose
from handlers.training.align.fit_face_shape import ShapeKit

ANGLES = ("pitch", "yaw", "roll")
NOISES = (0.0, 0.015, 0.03)  # in distances of the outer eye corners
TURNS = ((0.0, 5.0), (0.0, 45.0), (45.0, 60.0))  # degrees of yaw to either side
MOST_PITCH_DEG, MOST_ROLL_DEG = 25.0, 30.0
DISTANCES_MM = (400.0, 3000.0)
FACE_PX = (20.0, 2000.0)  # the eyes' distance
PICTURE_PX = (8000, 6000)


@dataclass(frozen=True)
class PoseRow:
    """Errors in degrees `(N, 3)` of pitch, yaw and roll under one condition."""

    turn_deg: tuple[float, float]
    noise: float
    errors: Doubles

    @property
    def mean_absolute(self) -> Doubles:
        return np.asarray(np.abs(self.errors).mean(axis=0))

    @property
    def bias(self) -> Doubles:
        return np.asarray(self.errors.mean(axis=0))


def evaluate_pose(
    kit: Path, model_store: Path, count: int = 500, seed: int = 0, console: Console | None = None
) -> list[PoseRow]:
    """Draw `count` people for each condition, estimate and print; raises ValueError for no kit."""
    heads, estimator = ShapeKit.read(kit), load_pose(model_store)
    rows = [
        measure(heads, estimator, turn, noise, count, seed) for turn in TURNS for noise in NOISES
    ]
    (console or Console()).print(as_table(rows, count))
    return rows


def measure(
    heads: ShapeKit,
    estimator: PoseEstimator,
    turn_deg: tuple[float, float],
    noise: float,
    count: int,
    seed: int,
) -> PoseRow:
    """Return errors over people with expressions, each in some place of a picture, seen from
    somewhere."""
    rng, errors = np.random.default_rng(seed), []
    for _ in range(count):
        truth = HeadPose(
            rng.uniform(-MOST_PITCH_DEG, MOST_PITCH_DEG),
            rng.uniform(*turn_deg) * rng.choice([-1.0, 1.0]),
            rng.uniform(-MOST_ROLL_DEG, MOST_ROLL_DEG),
        )
        landmarks = project(heads.draw(rng), truth, rng, noise)
        found = estimator.estimate(landmarks.astype(np.float32), *PICTURE_PX)
        errors.append(np.subtract(_angles(found), _angles(truth)))
    return PoseRow(turn_deg, noise, np.array(errors))


def project(head: Doubles, pose: HeadPose, rng: np.random.Generator, noise: float) -> Doubles:
    """Return landmarks `(68, 2)` of a head `(68, 3)` as a camera that looks at it sees it, with
    noise in eye distances, somewhere in a picture at some size."""
    left, right = OUTER_EYE_CORNERS
    apart_mm = float(np.linalg.norm(head[right] - head[left]))
    x, y, z = ((head - head.mean(axis=0)) @ pose.to_rotation().T).T
    seen = np.stack([x, y], axis=1) / (1 + z[:, None] / rng.uniform(*DISTANCES_MM)) / apart_mm
    seen += rng.normal(size=seen.shape) * noise
    return np.asarray(seen * rng.uniform(*FACE_PX) + rng.uniform(0, 1, 2) * PICTURE_PX)


def as_table(rows: Sequence[PoseRow], count: int) -> Table:
    """Return the mean absolute error and bias of each angle, a row a condition."""
    heads = [f"{name}, {what}" for what in ("mean abs.", "bias") for name in ANGLES]
    words = ("Yaw, degrees", "Noise, eye distances")
    table = new_table(f"Head pose in degrees, {count} people a row", words, heads)
    for row in rows:
        low, high = row.turn_deg
        table.add_row(
            f"{low:g} to {high:g}",
            f"{row.noise:g}",
            *(f"{value:.1f}" for value in row.mean_absolute),
            *(f"{value:+.1f}" for value in row.bias),
        )
    return table


def _angles(pose: HeadPose) -> tuple[float, float, float]:
    return pose.pitch_deg, pose.yaw_deg, pose.roll_deg
