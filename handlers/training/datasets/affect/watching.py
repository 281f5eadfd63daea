"""Recordings looked at: frames at a working rate, faces followed once, labels at their times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import overload

import numpy as np

from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.processing.arrays import Bools, Doubles, Floats, Image, Ints
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box
from handlers.store import load_tracker
from handlers.training.datasets.affect.records import AffectPicture, Recording
from handlers.training.datasets.folders import read_picture
from handlers.training.datasets.video import Video, VideoFrame, frame_rate_hz

CROP_PX = 128
WORKING_RATE_HZ = 25.0
TRACKER = "dcrt"
SEEN = ("tracking", "redetected")


@dataclass(frozen=True, eq=False)
class Follower:
    """A tracker, and how it follows the first face of a video."""

    predictor: TrackingPredictor
    options: TrackingOptions = TrackingOptions()


@cache
def load_follower(store: Path, device: str = "cpu") -> Follower:
    """Load DCRT of a model store, which never gives up (as the thesis's).

    Raises CheckpointError naming what the store lacks.
    """
    return Follower(load_tracker(store, TRACKER, device, patience=None)[0])


class VideoFaces(Sequence[Image | None]):
    """The faces of a video's moments, decoded as they are asked for, in order at best.

    `frames` `(T,)` are numbers of frames, ascending; `boxes` `(T, 4)` landmark boxes in their
    pixels, not a number where no face is seen. A crop is `context` times as wide as the box, and
    `size_px` pixels.
    """

    def __init__(
        self,
        video: Video,
        frames: Ints,
        boxes: Floats,
        context: float,
        size_px: int = CROP_PX,
    ) -> None:
        self.video, self.frames, self.boxes = video, frames, boxes
        self.context, self.size_px = context, size_px
        self._numbered: Iterator[tuple[int, VideoFrame]] = iter(())
        self._last = -1

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, index: int) -> Image | None: ...
    @overload
    def __getitem__(self, index: slice) -> "VideoFaces": ...
    def __getitem__(self, index: int | slice) -> "Image | VideoFaces | None":
        if isinstance(index, slice):
            frames, boxes = self.frames[index], self.boxes[index]
            return VideoFaces(self.video, frames, boxes, self.context, self.size_px)
        if not np.isfinite(self.boxes[index]).all():
            return None
        image = self._frame(int(self.frames[index]))
        return Crop.around(self.boxes[index], self.context, self.size_px).extract(image)

    def _frame(self, wanted: int) -> Image:
        if wanted <= self._last or self._last < 0:
            self._numbered = enumerate(self.video)
        for number, frame in self._numbered:
            self._last = number
            if number == wanted:
                return frame.image
        raise ValueError(f"{self.video.path}: has no frame {wanted}")


def watch(
    recording: Recording,
    follower: Follower | None,
    context: float,
    size_px: int = CROP_PX,
    rate_hz: float = WORKING_RATE_HZ,
) -> tuple[Doubles, VideoFaces]:
    """Return times `(T,)` in seconds, about `rate_hz` a second up to the last label, and the face
    there.

    Boxes are those of the set's landmarks where it has them, else what `follower` follows. Raises
    ValueError for a video that cannot be decoded, and without either.
    """
    video = Video(recording.media.name, recording.person, recording.media, {})
    rate = frame_rate_hz(recording.media)
    step = max(round(rate / rate_hz), 1)
    last = round(float(recording.times_s[-1]) * rate)
    frames = np.arange(0, last + 1, step)
    if recording.landmarks is not None:
        boxes = _boxes_at(frames / rate, recording)
    elif follower is not None:
        frames, boxes = _followed(video, frames, follower)
    else:
        raise ValueError(f"{recording.media}: no landmarks, and no tracker to follow its face")
    return frames / rate, VideoFaces(video, frames, boxes, context, size_px)


def labels_at(times_s: Doubles, recording: Recording) -> Floats:
    """Return labels `(T, 2)` between the annotated times; not a number away from any."""
    known = recording.times_s
    columns = [np.interp(times_s, known, recording.labels[:, d]) for d in (0, 1)]
    labels = np.stack(columns, axis=1).astype(np.float32)
    labels[~_near(times_s, known)] = np.nan
    return labels


def crop_of_picture(picture: AffectPicture, context: float = 1.0, size_px: int = CROP_PX) -> Image:
    """Return the face of a labelled picture, cut out by its box as the set gives it, or so much
    wider."""
    image = read_picture(picture.path)
    whole = (0, 0, image.shape[1] - 1, image.shape[0] - 1)
    box = np.array(picture.box or whole, np.float32)
    return Crop.around(box, context, size_px).extract(image)


def _followed(video: Video, frames: Ints, follower: Follower) -> tuple[Ints, Floats]:
    """Return the boxes of the first face over the wanted frames, as far as the video goes."""
    wanted = set(frames.tolist())
    found, boxes, state = [], [], None
    for number, frame in enumerate(video):
        if number not in wanted:
            continue
        ((result, state),) = follower.predictor.step([frame.image], [state], [follower.options])
        face = result.faces[0] if result.faces else None
        seen = face is not None and face.status.value in SEEN
        boxes.append(face.box if seen and face is not None else np.full(4, np.nan, np.float32))
        found.append(number)
    if not found:
        raise ValueError(f"{video.path}: no frame that can be decoded")
    return np.array(found, np.int64), np.stack(boxes).astype(np.float32)


def _boxes_at(times_s: Doubles, recording: Recording) -> Floats:
    """Return boxes `(T, 4)` of the landmarks nearest in time; not a number away from any."""
    assert recording.landmarks is not None
    nearest = np.abs(times_s[:, None] - recording.times_s).argmin(axis=1)
    boxes = np.stack([bounding_box(points) for points in recording.landmarks])[nearest]
    boxes[~_near(times_s, recording.times_s)] = np.nan
    return np.asarray(boxes, np.float32)


def _near(times_s: Doubles, known: Doubles) -> Bools:
    """Tell whether a time is no farther from an annotated one than these are from each other."""
    spacing = float(np.median(np.diff(known))) if len(known) > 1 else 0.0
    after = np.searchsorted(known, times_s).clip(0, len(known) - 1)
    gap = np.minimum(np.abs(known[after] - times_s), np.abs(known[(after - 1).clip(0)] - times_s))
    return np.asarray(gap <= spacing + 1e-6)
