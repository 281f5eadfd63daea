"""The landmarks' boxes of faces that fill their pictures: how a tracker would frame them."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.predictors.alignment import AlignmentPredictor
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Where a face lies in its picture before anybody looked: its side, and how far down its middle is,
# as shares of the picture's side.
SIDE, DOWN = 0.84, 0.524
# What counts as found: how sure the aligner is, and how large the box is beside the picture.
SURE = 0.5
SIZES = (0.5, 1.15)
AT_ONCE = 16


def frame_faces(images: Sequence[Grey], aligner: AlignmentPredictor) -> Floats:
    """The boxes `(N, 4)` of the landmarks of grey pictures `(S, S)` of one set.

    Where they are not found, a box is the median of all.
    """
    boxes, found = [], []
    for begin in range(0, len(images), AT_ONCE):
        part = images[begin : begin + AT_ONCE]
        pictures = [np.repeat(image[:, :, None], 3, axis=2) for image in part]
        crops = [_guess(image.shape[0], aligner) for image in part]
        for image, face in zip(part, aligner.look(pictures, crops, denoise=False), strict=True):
            box = bounding_box(face.landmarks)
            share = float((box[2:] - box[:2]).max()) / image.shape[0]
            boxes.append(box)
            found.append(face.confidence >= SURE and SIZES[0] <= share <= SIZES[1])
    boxes_found, seen = np.stack(boxes).astype(np.float32), np.array(found)
    usual = np.median(boxes_found[seen] if seen.any() else boxes_found, axis=0)
    return np.where(seen[:, None], boxes_found, usual).astype(np.float32)


def crop_framed(image: Grey, box: Floats, context: float, size: int = 128) -> Grey:
    """The crop `(size, size, 3)` of a grey face, its border repeated where it ends.

    A camera's picture goes on around a face; a set's ends there.
    """
    matrix = Crop.around(box, context, size).matrix()
    crop = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.repeat(np.asarray(crop, np.uint8)[:, :, None], 3, axis=2)


def whole_box(side: int) -> Floats:
    """Where the landmarks of a face lie that fills a picture of so many pixels, about."""
    half = SIDE * side / 2
    middle = np.array([side / 2, DOWN * side])
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


def _guess(side: int, aligner: AlignmentPredictor) -> Crop:
    return Crop.around(whole_box(side), aligner.options.context, aligner.options.crop_px)
