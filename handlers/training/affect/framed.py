"""Photographs of faces, each cut out around its landmarks as a tracker cuts faces out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from handlers.store import load_aligner
from handlers.training.affect.made.faces import MARGIN
from handlers.training.datasets.affect.pictures import crop_framed, frame_faces
from handlers.training.datasets.affect.records import AffectFaces

BOXES = "boxes"
FRAMED_PX = 96


@dataclass(frozen=True)
class Framing:
    """Frames the faces of sets, with a margin to be moved about in.

    `aligner` is the model store whose `dfa` finds the faces' landmarks, `kept` the folder in which
    their boxes are kept, `context` the served crop's side over that of such a box.
    """

    aligner: Path
    kept: Path
    context: float

    def __call__(self, faces: AffectFaces) -> AffectFaces:
        """The same faces in pictures that are `MARGIN` times as wide as served crops."""
        boxes = find_boxes(faces, self.aligner, self.kept)
        crops = [
            crop_framed(image, box, self.context * MARGIN, FRAMED_PX)[:, :, 0]
            for image, box in zip(faces.images, boxes, strict=True)
        ]
        return replace(faces, images=np.stack(crops))


def find_boxes(faces: AffectFaces, aligner: Path, kept: Path) -> Sequence[np.ndarray]:
    """The boxes of the landmarks `(N, 4)` of a set's faces, found once and kept in a folder."""
    file = kept / f"{hashlib.sha256(faces.images.tobytes()).hexdigest()[:16]}.npy"
    if not file.is_file():
        predictor = load_aligner(aligner, "dfa").predictor
        kept.mkdir(parents=True, exist_ok=True)
        np.save(file, frame_faces(list(faces.images), predictor))
    return list(np.load(file, allow_pickle=False))
