"""Head poses from landmarks, where the networks' libraries and the mean face are at hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.schemas import Point

FACE_SHAPE = "face_shape"


class Poses:
    """Estimates head poses with the mean face of a model store."""

    def __init__(self, model_store: Path) -> None:
        """Raise ModuleNotFoundError without the libraries, ValueError without the mean face."""
        if not (model_store / FACE_SHAPE).is_dir():
            raise ValueError(f"{model_store} holds no {FACE_SHAPE}")

        from handlers.checkpoint import load_checkpoint
        from handlers.processing.pose import PoseEstimator

        shape = load_checkpoint(model_store / FACE_SHAPE).tensors["mean_shape_3d"]
        self._estimator = PoseEstimator(shape.numpy())

    def estimate(self, landmarks: Sequence[Point], width: int, height: int) -> Any | None:
        """The HeadPose of landmarks in pixels of a picture, None where they have none."""
        from handlers.processing.similarity import DegenerateShape

        try:
            return self._estimator.estimate(_as_array(landmarks), width, height)
        except DegenerateShape:
            return None


def find_poses(model_store: Path) -> Poses | None:
    """Poses where they can be had, None where a service elsewhere does all else."""
    try:
        return Poses(model_store)
    except (ModuleNotFoundError, ValueError, OSError):
        return None


def _as_array(points: Sequence[Any]) -> Any:
    import importlib

    numpy = importlib.import_module("numpy")
    return numpy.asarray(points, numpy.float32)
