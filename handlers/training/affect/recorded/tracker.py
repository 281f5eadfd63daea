"""The tracker of a model store, to follow the faces of recordings that come without landmarks."""

from dataclasses import dataclass, replace
from pathlib import Path

from handlers.predictors.alignment import AlignmentPredictor
from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.store import load_aligner, load_detector, load_tracking, read_settings
from handlers.training.loop import make_fabric

TRACKER = "dcrt"


@dataclass(frozen=True)
class Tracker:
    """DCRT as it follows the one face of a recording: never giving up, as the thesis has it."""

    predictor: TrackingPredictor
    options: TrackingOptions = TrackingOptions()


def load_tracker(store: Path) -> Tracker:
    """DCRT of a model store, on the best device at hand.

    Raises CheckpointError naming what the store lacks.
    """
    device = str(make_fabric("32-true").device)
    networks, checkpoint = load_tracking(store / TRACKER, device)
    aligner = load_aligner(store, checkpoint.config["alignment"], device).predictor
    predictor = TrackingPredictor(
        networks,
        load_detector(store, device),
        AlignmentPredictor(aligner.engine, replace(aligner.options, flip=False)),
        replace(read_settings(checkpoint.config), patience=None),
    )
    return Tracker(predictor)
