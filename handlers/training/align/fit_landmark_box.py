"""Annotated faces to the map from a detected face to its landmark box, kept by the detector.

    python -m handlers.training.align.fit_landmark_box model_store/mtcnn DATA/helen/train ...

Every folder, pictures with `.pts` beside them, has the same weight. Detections are not mirrored to
double the faces: the detector's own errors are not symmetric, and the map makes up for them.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handlers.checkpoint import load_checkpoint, save_checkpoint
from handlers.engines.choice import load_engine
from handlers.predictors.detection.cascade import Cascade, CascadeSettings
from handlers.predictors.detection.proposals import LandmarkBoxMap
from handlers.processing.arrays import Floats
from handlers.processing.boxes import overlaps
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.folders import FaceSample, read_folder, read_picture

MIN_FACE_PX = 24
LEAST_OVERLAP = 0.3  # of a detection with the true landmark box, to be of that face
DECIMALS = 5


@dataclass(frozen=True)
class Pair:
    """A detected box (4,), its points (5, 2) and the true landmark box (4,)."""

    box: Floats
    points: Floats
    landmark_box: Floats


def collect(cascade: Cascade, folder: Path) -> Iterator[Pair]:
    """Collect the faces of a folder that the detector finds."""
    for sample in read_folder(folder):
        pair = _find(cascade, sample)
        if pair is not None:
            yield pair


def _find(cascade: Cascade, sample: FaceSample) -> Pair | None:
    found = cascade.run([read_picture(sample.image_path).astype(np.float32)], MIN_FACE_PX)[0]
    truth = bounding_box(sample.landmarks)
    shared = overlaps(found.boxes, truth[None])[:, 0]
    if shared.max(initial=0) < LEAST_OVERLAP:
        return None
    best = int(shared.argmax())
    return Pair(found.boxes[best], found.points[best], truth)


def fit(groups: list[list[Pair]]) -> LandmarkBoxMap:
    """Fit the map for the faces of all groups, each group with the same weight."""
    pairs = [pair for group in groups for pair in group]
    shares = np.concatenate([np.full(len(group), 1 / len(group)) for group in groups])
    return LandmarkBoxMap.fit(
        np.stack([pair.box for pair in pairs]),
        np.stack([pair.points for pair in pairs]),
        np.stack([pair.landmark_box for pair in pairs]),
        shares.astype(np.float32),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="folder of the detector; it is rewritten")
    parser.add_argument("folders", type=Path, nargs="+", help="pictures with .pts beside them")
    arguments = parser.parse_args()
    stored = load_checkpoint(arguments.checkpoint)
    engine, _ = load_engine(arguments.checkpoint)
    cascade = Cascade(engine, CascadeSettings(**stored.config["cascade"]))
    fitted = fit([list(collect(cascade, folder)) for folder in arguments.folders])
    weights = np.round(fitted.weights.astype(np.float64), DECIMALS).tolist()
    config = {**stored.config, "landmark_box": {"weights": weights}}
    save_checkpoint(arguments.checkpoint, stored.name, stored.version, config, stored.tensors)


if __name__ == "__main__":
    main()
