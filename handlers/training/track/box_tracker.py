"""Learning to track (sections 2.3.5, 4.3.5): BT through made videos, FV on right and wrong places.

BT sees what it will see in serving: the crop of every frame is taken at the box that it was led to
by the frame before, at first the true one, later more and more its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from handlers.networks.box_tracker import CROP_PX, BoxTracker, from_pixels, to_pixels
from handlers.processing.arrays import Bools, Doubles, Floats, Image
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.folders import read_folder
from handlers.training.datasets.video import VideoFrame, read_300vw_training
from handlers.training.faces import Source, to_tensor
from handlers.training.loop import Losses
from handlers.training.synthetic.scene import Truth
from handlers.training.synthetic.stills import Stills
from handlers.training.synthetic.style import Style, draw_scene

LEAST_INSIDE = 0.5  # of the landmarks: with fewer in the frame, nothing is learnt from it
FARTHEST, MOST_SCALING = 0.6, 2.0  # where a tracker has lost the face: box sides, factor


class RecordedStretch:
    """A stretch of a recorded video whose every frame has landmarks."""

    def __init__(self, stretch: Sequence[VideoFrame]) -> None:
        self.stretch = stretch
        self.frames = len(stretch)

    def truth(self, frame: int) -> Truth:
        """Return the annotation of a frame; how much of it is covered is not known."""
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
        """Draw a random stretch of a random video; raises ValueError where none is long enough."""
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
        """Return landmarks of a frame of each."""
        return [view.truth(frame) for view in self.views]

    def look(self, frame: int, crops: Sequence[Crop]) -> Tensor:
        """Cut each one's crop of a frame: `(B, 3, S, S)` in [-1, 1]."""
        pairs = zip(self.views, crops, strict=True)
        return to_tensor([view.look(frame, crop) for view, crop in pairs])


def read_stills(root: Path, sources: Sequence[Source], face_px: int) -> Stills:
    """Read the faces under `root` that videos are made from."""
    sets = [(read_folder(root / source.folder).samples, source.share) for source in sources]
    return Stills(sets, face_px)


@dataclass(frozen=True)
class TrackerModel:
    """Arguments of BT, and how it is led.

    `frames` is the window n. `own` is the share of boxes that are BT's own, from the first step
    to the last; true ones are off by `slack` (a share of their side, and of its logarithm), the
    first one by twice that, as a detector's. Without `tune_backbone` only what follows it learns.
    """

    size: str
    context: float
    frames: int
    own: tuple[float, float] = (0.0, 0.5)
    slack: float = 0.04
    tune_backbone: bool = True


@dataclass(frozen=True)
class TrackerBatches:
    """Draws videos, and the chances that decide whose box is taken and how far off it is.

    A share `recorded` of the videos comes from `recordings`, the others are made. The chances are
    arrays and no tensors: mixed precision would round them.
    """

    stills: Stills
    style: Style
    frames: int
    recordings: RecordedVideos | None = None
    recorded: float = 0.0

    def __call__(self, rng: np.random.Generator, size: int) -> dict[str, Any]:
        return {
            "videos": Videos([self._draw(rng) for _ in range(size)]),
            "coins": rng.random((self.frames, size)),
            "slack": rng.standard_normal((self.frames, size, 4)),
        }

    def _draw(self, rng: np.random.Generator) -> VideoView:
        if self.recordings is not None and rng.random() < self.recorded:
            return self.recordings.draw(rng, self.frames)
        return draw_scene(rng, self.stills, self.style, self.frames)


class TrackerLearner(nn.Module):
    """l1 between BT's landmarks and the true ones, in pixels of its crop.

    The backbone's batch statistics stay those that it comes with: the crops of a video are alike
    and would spoil them, and so training and serving compute the same.
    """

    def __init__(self, tracker: BoxTracker, model: TrackerModel) -> None:
        super().__init__()
        self.tracker, self.model = tracker, model
        tracker.backbone.requires_grad_(model.tune_backbone)

    def train(self, mode: bool = True) -> "TrackerLearner":
        super().train(mode)
        self.tracker.backbone.eval()
        return self

    def forward(self, batch: dict[str, Any], progress: float) -> Losses:
        videos: Videos = batch["videos"]
        first, last = self.model.own
        own = batch["coins"] < first + (last - first) * progress
        slack = batch["slack"] * self.model.slack
        boxes = true_boxes(videos.truths(0), 2 * slack[0])
        state, before = self.tracker.initial_state(len(videos)), None
        errors, weights = [], []
        for frame in range(videos.frames):
            truths = videos.truths(frame)
            crops = [Crop.around(box, self.model.context, CROP_PX) for box in boxes]
            now = self.tracker.features(videos.look(frame, crops).to(device_of(self))).float()
            with torch.autocast(now.device.type, enabled=False):
                points, state = self.tracker.step(now, now if before is None else before, state)
            errors.append(distance(points, crops, truths))
            weights.append(torch.tensor([t.inside >= LEAST_INSIDE for t in truths]).to(points))
            if frame + 1 < videos.frames:
                boxes = self._next_boxes(points, crops, truths, own[frame], slack[frame + 1])
                before = self._remember(videos, frame, boxes)
        error, weight = torch.stack(errors), torch.stack(weights)
        loss = (error * weight).sum() / weight.sum().clamp_min(1)
        late = (error[-1] * weight[-1]).sum() / weight[-1].sum().clamp_min(1)
        return {"loss": loss, "last_px": late, "first_px": error[0].mean()}

    @torch.no_grad()
    def _remember(self, videos: Videos, frame: int, boxes: list[Floats]) -> Tensor:
        """Return the features of a frame at its final box, for the next step; nothing learns from
        them."""
        crops = [Crop.around(box, self.model.context, CROP_PX) for box in boxes]
        return self.tracker.features(videos.look(frame, crops).to(device_of(self))).float()

    def _next_boxes(
        self,
        points: Tensor,
        crops: list[Crop],
        truths: list[Truth],
        own: Bools,
        slack: Doubles,
    ) -> list[Floats]:
        """Choose the next crop's box: BT's where it is its turn and it still has the face."""
        # Nothing learns through where the next crop is cut.
        found = to_pixels(points.detach().float()).cpu().numpy()
        boxes = true_boxes(truths, slack)
        for row, crop in enumerate(crops):
            box = bounding_box(crop.from_crop(found[row]))
            if own[row] and has_the_face(box, bounding_box(truths[row].points)):
                boxes[row] = box
        return boxes


def distance(points: Tensor, crops: list[Crop], truths: list[Truth]) -> Tensor:
    """Return the mean absolute error `(B,)` in pixels of the crop of relative points
    `(B, 68, 2)`."""
    inside = np.stack([c.to_crop(t.points) for c, t in zip(crops, truths, strict=True)])
    target = from_pixels(torch.from_numpy(inside).to(points.device))
    return (points - target).abs().mean(dim=(1, 2)) * (CROP_PX / 2)


def true_boxes(truths: list[Truth], slack: Doubles) -> list[Floats]:
    """Return landmark boxes `(4,)`, moved and scaled by errors `(B, 4)` in shares of their
    sides."""
    boxes = []
    for truth, (dx, dy, width, height) in zip(truths, slack, strict=True):
        box = bounding_box(truth.points).astype(np.float64)
        sides = box[2:] - box[:2]
        centre = (box[:2] + box[2:]) / 2 + (dx, dy) * sides
        # Errors of the logarithm: twice and half the size are equally far off.
        half = sides * np.exp([width, height]) / 2
        boxes.append(np.concatenate([centre - half, centre + half]).astype(np.float32))
    return boxes


def has_the_face(box: Floats, truth: Floats) -> bool:
    """Tell whether a box still lies on the true one well enough for the next crop to show
    the face."""
    sides, true_sides = box[2:] - box[:2], truth[2:] - truth[:2]
    away = np.abs((box[:2] + box[2:]) - (truth[:2] + truth[2:])) / 2
    scaling = np.maximum(sides / true_sides, true_sides / np.maximum(sides, 1e-6))
    return bool((away < FARTHEST * true_sides).all() and (scaling < MOST_SCALING).all())


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's parameters."""
    return next(module.parameters()).device
