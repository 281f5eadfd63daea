"""Labels that recipes learn from: a teacher's answers blended with people's or with a model's.

    python -m handlers.training.align.blend_labels ANSWERS.npz PICTURES OUT.npz
    python -m handlers.training.align.blend_labels ANSWERS.npz PICTURES OUT.npz \
        --model model_store/dfa

Without a model, landmarks by hand (`.pts` files beside the pictures) are moved towards the
teacher's, but for those that lie far from them; `--share 0` moves none. With a model, they are the
mean of the teacher's and the model's, and faces on which the two disagree are left out.
Irises and facial actions stay the teacher's.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from handlers.networks.actions import ACTIONS
from handlers.predictors.alignment import LOOKS_AT_DETECTED, AlignmentPredictor
from handlers.processing.arrays import Floats
from handlers.processing.landmarks import N_POINTS, bounding_box
from handlers.store import load_aligner
from handlers.training.datasets.folders import Labelled, read_labels, read_picture, read_pts

SHARE = 0.35  # of the way from landmarks by hand to the teacher's
# Distances in shares of the face's box, as the error of alignment is.
FARTHEST_POINT, FARTHEST_FACE = 0.06, 0.04  # beyond these a landmark or a face by hand stays
AGREED = 0.035  # mean distance up to which teacher and model have found the same face
AT_A_TIME = 16


def distances(first: Floats, second: Floats) -> Floats:
    """Return the distances between landmarks `(68, 2)` each, in shares of the first's box:
    `(68,)`."""
    x1, y1, x2, y2 = bounding_box(first)
    return np.asarray(np.linalg.norm(first - second, axis=1) / np.sqrt((x2 - x1) * (y2 - y1)))


def moved(by_hand: Floats, taught: Floats, share: float) -> Floats:
    """Return landmarks by hand moved towards a teacher's, but for those that lie far from them."""
    apart = distances(by_hand, taught)
    if apart.mean() > FARTHEST_FACE:
        return by_hand
    steps = np.where(apart > FARTHEST_POINT, 0, share)[:, None]
    return np.asarray(by_hand + steps * (taught - by_hand), np.float32)


def blend_by_hand(faces: list[Labelled], share: float) -> Iterator[Labelled]:
    """Return the teacher's faces with landmarks by hand, moved by a share of the way."""
    for face in faces:
        by_hand = read_pts(face.picture.with_suffix(".pts"))
        points = moved(by_hand, face.points[:N_POINTS], share)
        yield face._replace(points=np.concatenate([points, face.points[N_POINTS:]]))


def blend_with_model(faces: list[Labelled], predictor: AlignmentPredictor) -> Iterator[Labelled]:
    """Return the teacher's faces with the mean of its landmarks and the model's, where the two
    agree."""
    for start in range(0, len(faces), AT_A_TIME):
        some = faces[start : start + AT_A_TIME]
        images = [read_picture(face.picture) for face in some]
        boxes = [bounding_box(face.points[:N_POINTS])[None] for face in some]
        found = predictor.align(images, boxes, denoise=False, looks=LOOKS_AT_DETECTED)
        for face, (seen,) in zip(some, found, strict=True):
            taught = face.points[:N_POINTS]
            if distances(taught, seen.landmarks).mean() <= AGREED:
                mean = (taught + seen.landmarks) / 2
                yield face._replace(points=np.concatenate([mean, face.points[N_POINTS:]]))


def write_labels(path: Path, pictures: Path, faces: list[Labelled]) -> None:
    """Write faces as `read_labels` reads them, with pictures named below their folder."""
    np.savez_compressed(
        path,
        pictures=np.array([str(face.picture.relative_to(pictures)) for face in faces]),
        points=np.stack([face.points for face in faces]),
        names=np.array(ACTIONS),
        actions=np.stack([face.actions for face in faces]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("answers", type=Path, help=".npz of the teacher's answers")
    parser.add_argument("pictures", type=Path, help="the folder that its pictures lie in")
    parser.add_argument("out", type=Path, help=".npz of labels to write")
    parser.add_argument("--model", type=Path, help="a model of the store, such as model_store/dfa")
    parser.add_argument("--share", type=float, default=SHARE, help="of the way from .pts files")
    arguments = parser.parse_args()
    answers = list(read_labels(arguments.answers, arguments.pictures))
    if arguments.model is None:
        faces = list(blend_by_hand(answers, arguments.share))
    else:
        predictor = load_aligner(arguments.model.parent, arguments.model.name).predictor
        faces = list(blend_with_model(answers, predictor))
    if not faces:
        raise SystemExit("there is no face that the teacher and the model agree on")
    write_labels(arguments.out, arguments.pictures, faces)
    print(f"{len(faces)} of {len(answers)} faces in {arguments.out}")


if __name__ == "__main__":
    main()
