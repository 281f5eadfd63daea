"""Annotated videos, such as 300-VW's, as a tracker in training sees them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handlers.processing.boxes import Crop
from handlers.training.datasets.video import VideoFrame, read_300vw_training
from handlers.training.synthetic.scene import Truth

Image = NDArray[np.uint8]


class Recording:
    """A stretch of a recorded video whose every frame has landmarks."""

    def __init__(self, stretch: Sequence[VideoFrame]) -> None:
        self.stretch = stretch
        self.frames = len(stretch)

    def truth(self, frame: int) -> Truth:
        """The annotation of a frame; how much of it is covered is not known."""
        landmarks = self.stretch[frame].landmarks
        assert landmarks is not None
        height, width = self.stretch[frame].image.shape[:2]
        inside = ((landmarks >= 0) & (landmarks <= (width - 1, height - 1))).all(axis=1)
        return Truth(landmarks, float(inside.mean()), 0.0)

    def look(self, index: int, crop: Crop) -> Image:
        """What a crop of a frame shows, uint8 RGB `(S, S, 3)`."""
        return crop.extract(self.stretch[index].image)


class Recordings:
    """The training videos of 300-VW under a folder."""

    def __init__(self, root: Path) -> None:
        self.videos = read_300vw_training(root)

    def draw(self, rng: np.random.Generator, frames: int) -> Recording:
        """A random stretch of a random video; raises ValueError where none is long enough."""
        for _ in range(100):
            video = self.videos[int(rng.integers(len(self.videos)))]
            starts = sorted(video.annotations)
            first = int(rng.choice(starts))
            if all(first + step in video.annotations for step in range(frames)):
                return Recording(list(video.stretch(first, frames)))
        raise ValueError(f"no video with {frames} annotated frames in a row")
