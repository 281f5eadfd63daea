"""A batch of videos, for a learner that looks at them where it believes the face to be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from handlers.processing.boxes import Crop
from handlers.training.datasets.folders import read_folder
from handlers.training.faces import Source, to_tensor
from handlers.training.synthetic.scene import Truth
from handlers.training.synthetic.stills import Stills

Image = NDArray[np.uint8]


class View(Protocol):
    """A video with its truth: a made scene or a recorded stretch."""

    @property
    def frames(self) -> int: ...

    def truth(self, frame: int) -> Truth: ...

    def look(self, index: int, crop: Crop) -> Image: ...


class Videos:
    """Videos of the same length side by side; no data class, so that it travels as it is."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = views
        self.frames = min(view.frames for view in views)

    def __len__(self) -> int:
        return len(self.views)

    def truths(self, frame: int) -> list[Truth]:
        """Landmarks of a frame of each."""
        return [view.truth(frame) for view in self.views]

    def look(self, frame: int, crops: Sequence[Crop]) -> Tensor:
        """What each shows in its crop: `(B, 3, S, S)` in [-1, 1]."""
        pairs = zip(self.views, crops, strict=True)
        return to_tensor([view.look(frame, crop) for view, crop in pairs])


def read_stills(root: Path, sources: Sequence[Source], face_px: int) -> Stills:
    """The faces under `root` that videos are made from."""
    sets = [(read_folder(root / source.folder).samples, source.share) for source in sources]
    return Stills(sets, face_px)
