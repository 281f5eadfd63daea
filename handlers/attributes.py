"""Attributes of faces, listed once for all models: each is a function of the faces of a batch.

A new attribute is a function here, a line in `load_attributes`, and a field of the service's
`FaceRecord`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.alignment import Alignment
from handlers.processing.landmarks import DegenerateShape
from handlers.processing.pose import PoseEstimator
from handlers.store import load_pose

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SeenFace:
    """A face as its attributes are computed from it.

    `landmarks` float32 `(68, 2)` are in pixels of `image`, uint8 RGB `(H, W, 3)`. `alignment` is
    the landmark network's answer, None where the landmarks come from elsewhere; `score` is the
    detector's, None where it was not asked.
    """

    image: Image
    landmarks: Floats
    alignment: Alignment | None
    score: float | None = None


Attribute = Callable[[Sequence[SeenFace]], Sequence[Any]]


class FaceAttributes:
    """Attributes by name, computed for many faces at once."""

    def __init__(self, attributes: Mapping[str, Attribute] | None = None) -> None:
        self._attributes = dict(attributes or {})

    def compute(self, faces: Sequence[SeenFace | None]) -> list[dict[str, Any]]:
        """Return the attributes of every face; all are None for a face that was not seen."""
        seen = [face for face in faces if face is not None]
        values = {name: iter(compute(seen)) for name, compute in self._attributes.items()}
        return [
            {name: None if face is None else next(rest) for name, rest in values.items()}
            for face in faces
        ]


def load_attributes(model_store: Path) -> FaceAttributes:
    """Return every attribute that is served; raises CheckpointError naming what the store lacks."""
    return FaceAttributes(
        {
            "pose": partial(poses, load_pose(model_store)),
            "quality": qualities,
            "degradation": degradations,
            "actions": actions,
        }
    )


def poses(estimator: PoseEstimator, faces: Sequence[SeenFace]) -> list[dict[str, Any] | None]:
    """Estimate head poses in degrees; None for landmarks that have none."""
    return [_pose(estimator, face) for face in faces]


def qualities(faces: Sequence[SeenFace]) -> list[float | None]:
    """Estimate how far landmarks can be trusted, in [0, 1]; None without a confidence."""
    return [
        None if face.alignment is None else face.alignment.quality(face.score) for face in faces
    ]


def degradations(faces: Sequence[SeenFace]) -> list[dict[str, Any] | None]:
    """Name the likeliest degradation with the probability of each class."""
    alignments = [face.alignment for face in faces]
    return [
        None if one is None else {"class": one.degradation, "probabilities": one.probabilities}
        for one in alignments
    ]


def actions(faces: Sequence[SeenFace]) -> list[dict[str, float] | None]:
    """Tell what faces do, each action in [0, 1]; None where the network does not tell."""
    return [None if face.alignment is None else face.alignment.actions for face in faces]


def _pose(estimator: PoseEstimator, face: SeenFace) -> dict[str, Any] | None:
    height, width = face.image.shape[:2]
    try:
        return asdict(estimator.estimate(face.landmarks, width, height))
    except DegenerateShape:
        return None
