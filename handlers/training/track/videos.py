"""A batch of videos, for a learner that looks at them where it believes the face to be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from handlers.processing.arrays import Image
from handlers.processing.boxes import Crop
from handlers.training.datasets.folders import read_folder
from handlers.training.datasets.video import VideoFrame, read_300vw_training
from handlers.training.faces import Source, to_tensor
from handlers.training.synthetic.scene import Truth
from handlers.training.synthetic.stills import Stills


class RecordedStretch:
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
        """Cut a crop out of a frame, uint8 RGB `(S, S, 3)`."""
        return crop.extract(self.stretch[index].image)


class RecordedVideos:
    """The training videos of 300-VW under a folder."""

    def __init__(self, root: Path) -> None:
        self.videos = read_300vw_training(root)

    def draw(self, rng: np.random.Generator, frames: int) -> RecordedStretch:
        """A random stretch of a random video; raises ValueError where none is long enough."""
        for _ in range(100):
            video = self.videos[int(rng.integers(len(self.videos)))]
            starts = sorted(video.annotations)
            first = int(rng.choice(starts))
            if all(first + step in video.annotations for step in range(frames)):
                return RecordedStretch(list(video.stretch(first, frames)))
        raise ValueError(f"no video with {frames} annotated frames in a row")


class VideoView(Protocol):
    """A video with its truth: a made scene or a recorded stretch."""

    @property
    def frames(self) -> int: ...

    def truth(self, frame: int) -> Truth: ...

    def look(self, index: int, crop: Crop) -> Image: ...


class Videos:
    """Videos of the same length side by side; no data class, so that it travels as it is."""

    def __init__(self, views: Sequence[VideoView]) -> None:
        self.views = views
        self.frames = min(view.frames for view in views)

    def __len__(self) -> int:
        return len(self.views)

    def truths(self, frame: int) -> list[Truth]:
        """Landmarks of a frame of each."""
        return [view.truth(frame) for view in self.views]

    def look(self, frame: int, crops: Sequence[Crop]) -> Tensor:
        """Cut each one's crop of a frame: `(B, 3, S, S)` in [-1, 1]."""
        pairs = zip(self.views, crops, strict=True)
        return to_tensor([view.look(frame, crop) for view, crop in pairs])


def read_stills(root: Path, sources: Sequence[Source], face_px: int) -> Stills:
    """The faces under `root` that videos are made from."""
    sets = [(read_folder(root / source.folder).samples, source.share) for source in sources]
    return Stills(sets, face_px)
