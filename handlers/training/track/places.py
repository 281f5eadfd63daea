"""Landmarks on a face and beside it: what FV learns to tell apart."""

import numpy as np

from handlers.processing.arrays import Doubles, Floats
from handlers.processing.landmarks import REGIONS
from handlers.training.synthetic.scene import Scene, Truth
from handlers.training.synthetic.stills import Stills

RIGHT, WRONG = 0.085, 0.16  # errors in widths of the face: at most, at least
COVERED = 0.75  # of the landmarks: what hides more is no face, half of it is no matter
MISPLACED = ("shifted", "scaled", "turned", "scrambled", "background", "cut")
KINDS = ("face", *MISPLACED, "covered", "lure")


def place(
    rng: np.random.Generator, scene: Scene, truth: Truth, stills: Stills
) -> tuple[Floats, str | None]:
    """Landmarks somewhere in a frame and the kind of that place; None where it is unclear.

    Half of them follow the face with a tracker's errors.
    """
    points = truth.points.astype(np.float64)
    kind = "face" if rng.random() < 0.55 else str(rng.choice(MISPLACED))
    shape = another_shape(rng, points, stills) if rng.random() < 0.7 else points
    if kind == "face":
        found = with_errors(rng, points, shape)
    elif kind == "background":
        found = beside(rng, shape, scene)
    elif kind == "cut":
        found = anywhere(rng, shape)
    else:
        found = misplace(rng, kind, with_errors(rng, points, shape))
    error = float(np.linalg.norm(found - points, axis=1).mean() / scale_of(points))
    if kind == "face" and truth.covered > COVERED:
        kind = "covered"
    unclear = (
        error > RIGHT or truth.inside < 0.9 or 0.5 < truth.covered <= COVERED
        if kind == "face"
        else error < WRONG and kind != "covered"
    )
    return found.astype(np.float32), None if unclear else kind


def with_errors(rng: np.random.Generator, points: Doubles, shape: Doubles) -> Doubles:
    """Landmarks as BT finds them: a little off in place and size, and drawn to another shape."""
    unit = scale_of(points)
    found = points + rng.uniform(0, 0.5) * (shape - points)
    found = transform(
        found, rng.normal(0, 0.03, 2) * unit, np.exp(rng.normal(0, 0.04)), rng.normal(0, 0.05)
    )
    for region in REGIONS.values():
        found[region] += rng.normal(0, 0.012, 2) * unit
    return found + rng.normal(0, 0.006, found.shape) * unit


def misplace(rng: np.random.Generator, kind: str, points: Doubles) -> Doubles:
    """Landmarks shifted, scaled, turned or scrambled until they are wrong."""
    unit, still = scale_of(points), np.zeros(2)
    if kind == "shifted":
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.18, 1.1) * unit
        return transform(points, length * np.array([np.cos(angle), np.sin(angle)]), 1.0, 0.0)
    if kind == "scaled":
        factor = np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.0))
        return transform(points, rng.normal(0, 0.1, 2) * unit, factor, 0.0)
    if kind == "turned":
        return transform(points, still, 1.0, rng.choice([-1.0, 1.0]) * rng.uniform(0.6, np.pi))
    found = points.copy()
    for region in REGIONS.values():
        found[region] += rng.normal(0, rng.uniform(0.1, 0.35), 2) * unit
    return found + rng.normal(0, rng.uniform(0.02, 0.2), found.shape) * unit


def beside(rng: np.random.Generator, shape: Doubles, scene: Scene) -> Doubles:
    """A face's shape in another place of the frame, of another size."""
    box = np.concatenate([shape.min(axis=0), shape.max(axis=0)])
    middle, sides = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    angle = rng.uniform(0, 2 * np.pi)
    ray = np.array([np.cos(angle), np.sin(angle)])
    away = ray / np.abs(ray).max() * sides * rng.uniform(1.0, 2.2)
    found = transform(shape, away, np.exp(rng.normal(0, 0.3)), rng.normal(0, 0.2))
    limit = (scene.width, scene.height)
    return np.asarray(found - (middle + away) + np.clip(middle + away, 0, limit))


def anywhere(rng: np.random.Generator, shape: Doubles) -> Doubles:
    """The face of the scene before a cut: another shape, about where this one is."""
    away = rng.uniform(-1.5, 1.5, 2) * np.ptp(shape, axis=0)
    return transform(shape, away, np.exp(rng.normal(0, 0.4)), rng.normal(0, 0.3))


def another_shape(rng: np.random.Generator, points: Doubles, stills: Stills) -> Doubles:
    """Another face's landmarks where these are: same place, size and direction."""
    here, other = points @ (1, 1j), stills.draw(rng).points @ (1, 1j)
    spread = other - other.mean()
    moved = here.mean() + spread * np.vdot(spread, here) / np.vdot(spread, spread)
    return np.stack([moved.real, moved.imag], axis=1)


def transform(points: Doubles, shift: Doubles, scale: float, angle: float) -> Doubles:
    """Points scaled and turned about their box's middle, then shifted."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turned = (points - middle) @ np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray(turned + middle + shift)


def scale_of(points: Doubles) -> float:
    """The width of a face: the root of the area of its landmark box."""
    return float(np.sqrt(np.prod(np.ptp(points, axis=0))))
