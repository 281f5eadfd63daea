"""Annotated videos, in the layouts they are handed out in, to frames and their landmarks.

300-VW (Shen et al. 2015) is a folder a video, named by a number, with `vid.avi` and one
`annot/000001.pts` for every frame. A video may also be a folder of pictures with `.pts` beside
them, in the order of their names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from handlers.processing.arrays import Floats, Image
from handlers.training.datasets.folders import images_under, read_picture, read_pts

FOLDER_RATE_HZ = 25.0
# The subjects of the published test set by the difficulty of their videos (Shen et al. 2015).
CATEGORIES: dict[str, tuple[int, ...]] = {
    "1": (
        114, 124, 125, 126, 150, 158, 401, 402, 505, 506, 507, 508, 509, 510, 511, 514, 515, 518,
        519, 520, 521, 522, 524, 525, 537, 538, 540, 541, 546, 547, 548,
    ),
    "2": (
        203, 208, 211, 212, 213, 214, 218, 224, 403, 404, 405, 406, 407, 408, 409, 412, 550, 551,
        553,
    ),
    "3": (410, 411, 516, 517, 526, 528, 529, 530, 531, 533, 557, 558, 559, 562),
}  # fmt: skip


@dataclass(frozen=True)
class VideoFrame:
    """One frame, uint8 RGB `(H, W, 3)`; landmarks float32 `(68, 2)` in its pixels, if annotated."""

    image: Image
    landmarks: Floats | None


@dataclass(frozen=True)
class Video:
    """A video on disk: `path` is a file, or a folder of pictures; `annotations` maps the number
    of a frame, counted from 0, to its `.pts`."""

    name: str
    category: str
    path: Path
    annotations: dict[int, Path]

    def __iter__(self) -> Iterator[VideoFrame]:
        """Return the frames in order. Raises ValueError where the video cannot be decoded."""
        return self.stretch(0)

    def stretch(self, first: int, frames: int | None = None) -> Iterator[VideoFrame]:
        """Return the frames from the one numbered `first` on, all or so many of them."""
        pictures = _pictures if self.path.is_dir() else _decoded
        for index, image in enumerate(islice(pictures(self.path, first), frames), start=first):
            annotation = self.annotations.get(index)
            yield VideoFrame(image, None if annotation is None else read_pts(annotation))


def frame_rate_hz(path: Path) -> float:
    """Return the frame rate that a video names, 25 for a folder of frames; raises ValueError for
    none."""
    if path.is_dir():
        return FOLDER_RATE_HZ
    capture = cv2.VideoCapture(str(path))
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    if not rate > 0:
        raise ValueError(f"{path}: no video that names its frame rate")
    return rate


def read_300vw(root: Path, categories: tuple[str, ...] = tuple(CATEGORIES)) -> list[Video]:
    """Read the test videos of 300-VW under `root`, by category.

    Raises ValueError where none of them is there, or one lacks its video or annotation.
    """
    found = [
        _video_of(folder, category)
        for category in categories
        for subject in CATEGORIES[category]
        if (folder := root / str(subject)).is_dir()
    ]
    if not found:
        raise ValueError(f"{root}: none of the test videos of 300-VW, folders such as 114")
    return found


def read_300vw_training(root: Path) -> list[Video]:
    """Read every video of 300-VW under `root` that is in no category: those published for
    training."""
    test = {str(subject) for subjects in CATEGORIES.values() for subject in subjects}
    folders = sorted(path for path in root.iterdir() if (path / "annot").is_dir())
    return [_video_of(folder, "training") for folder in folders if folder.name not in test]


def read_frames(root: Path, category: str = "all") -> Video:
    """Read a folder of pictures with `.pts` beside them as one video.

    Raises ValueError where it holds no picture.
    """
    images = list(images_under(root))
    if not images:
        raise ValueError(f"{root}: no pictures")
    pairs = ((index, image.with_suffix(".pts")) for index, image in enumerate(images))
    return Video(root.name, category, root, {i: path for i, path in pairs if path.is_file()})


def read_clip(path: Path) -> Video:
    """Read a video file without landmarks."""
    return Video(path.name, "clip", path, {})


def _video_of(folder: Path, category: str) -> Video:
    video, annotations = folder / "vid.avi", sorted((folder / "annot").glob("*.pts"))
    if not video.is_file() or not annotations:
        raise ValueError(f"{folder}: a video of 300-VW has vid.avi and annot/*.pts")
    return Video(folder.name, category, video, {int(p.stem) - 1: p for p in annotations})


def _pictures(folder: Path, first: int) -> Iterator[Image]:
    for path in islice(images_under(folder), first, None):
        yield read_picture(path)


def _decoded(path: Path, first: int) -> Iterator[Image]:
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise ValueError(f"{path}: no video that can be decoded")
        capture.set(cv2.CAP_PROP_POS_FRAMES, first)
        while (read := capture.read())[0]:
            yield np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        capture.release()
