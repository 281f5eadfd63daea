"""Videos that trackers are measured on: made ones by a fixed list, or annotated ones from disk."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np
from pydantic import ConfigDict, TypeAdapter

from handlers.processing.arrays import Floats, Image
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.folders import read_folder
from handlers.training.datasets.video import CATEGORIES, Video, read_300vw, read_frames
from handlers.training.synthetic.scene import Scene
from handlers.training.synthetic.stills import Stills
from handlers.training.synthetic.style import Style, draw_scene

FPS = 25.0
HELD = 0.6  # with fewer of the landmarks in the frame, or more of them covered, it does not count


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """One frame, uint8 RGB `(H, W, 3)`, and its truth.

    `landmarks` `(68, 2)` in its pixels, None where there are none; `inside` and `covered` are the
    shares of them that the frame holds and that something hides.
    """

    image: Image
    landmarks: Floats | None
    inside: float = 1.0
    covered: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether a tracker's landmarks are measured in this frame."""
        return self.landmarks is not None and self.inside >= HELD and self.covered <= HELD


class TrackedVideo(Protocol):
    """Frames in order, with a name; `group` says what kind it is, `category` 300-VW's class."""

    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def frames(self) -> int: ...
    def __iter__(self) -> Iterator[TrackedFrame]: ...


@dataclass(frozen=True)
class Group:
    """Some made videos of one kind: so many, each of so many frames."""

    name: str
    category: str
    count: int
    frames: int
    seed: int
    style: Style


@dataclass(frozen=True)
class Plan:
    """The made videos of a test: folders of faces, their size in pixels at most, the groups."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    faces: tuple[str, ...]
    face_px: int
    groups: tuple[Group, ...]


@dataclass(frozen=True, eq=False)
class MadeVideo:
    """One made video; rendered as it is gone through."""

    name: str
    group: str
    category: str
    scene: Scene

    @property
    def frames(self) -> int:
        return self.scene.frames

    def __iter__(self) -> Iterator[TrackedFrame]:
        for index in range(self.scene.frames):
            truth = self.scene.truth(index)
            yield TrackedFrame(self.scene.frame(index), truth.points, truth.inside, truth.covered)


@dataclass(frozen=True, eq=False)
class RecordedVideo:
    """An annotated video on disk; it starts at its first annotated frame."""

    video: Video

    @property
    def name(self) -> str:
        return self.video.name

    @property
    def group(self) -> str:
        return self.video.category

    @property
    def category(self) -> str:
        return self.video.category

    @property
    def frames(self) -> int:
        return max(self.video.annotations) - min(self.video.annotations) + 1

    def __iter__(self) -> Iterator[TrackedFrame]:
        for frame in self.video.stretch(min(self.video.annotations), self.frames):
            yield TrackedFrame(frame.image, frame.landmarks)


def read_plan(path: Path | None = None) -> Plan:
    """Read the fixed plan, or another one in the same form; an unknown key raises ValueError."""
    source = files(__package__) / "sequences.toml" if path is None else path
    return TypeAdapter(Plan).validate_python(tomllib.loads(source.read_text(encoding="utf-8")))


def made_videos(
    plan: Plan, root: Path, groups: Sequence[str] = (), limit: int | None = None
) -> list[MadeVideo]:
    """Return the videos of a plan from the faces under `root`: all groups or some, all or the first
    few of each. A video is the same whatever else is made."""
    stills = Stills([(read_folder(root / name).samples, 1.0) for name in plan.faces], plan.face_px)
    return [
        MadeVideo(
            f"{group.name}-{index}",
            group.name,
            group.category,
            draw_scene(
                np.random.default_rng([group.seed, index]), stills, group.style, group.frames
            ),
        )
        for group in plan.groups
        if not groups or group.name in groups
        for index in range(min(group.count, limit or group.count))
    ]


def recorded_videos(root: Path, limit: int | None = None) -> list[RecordedVideo]:
    """Return 300-VW's test videos under `root`, or one folder of frames with landmarks."""
    if any((root / str(s)).is_dir() for subjects in CATEGORIES.values() for s in subjects):
        videos = read_300vw(root)
    else:
        videos = [read_frames(root)]
    seen: dict[str, int] = {}
    kept = []
    for video in videos:
        seen[video.category] = seen.get(video.category, 0) + 1
        if limit is None or seen[video.category] <= limit:
            kept.append(RecordedVideo(video))
    return kept


def first_box(video: TrackedVideo) -> Floats:
    """Return the true landmark box `(4,)` of the first frame: where every tracker starts
    (4.4.2)."""
    landmarks = next(iter(video)).landmarks
    if landmarks is None:
        raise ValueError(f"{video.name}: its first frame has no landmarks to start from")
    return bounding_box(landmarks)
