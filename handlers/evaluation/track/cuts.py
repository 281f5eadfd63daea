"""`countenance evaluate cuts`: clips joined to others, faces exchanged or replaced by what is none.

After a cut, and where another face takes a face's place in a picture that does not change, nobody
may be reported under a number from before; after a face has left nothing may be reported at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from handlers.evaluation.track.rows import TrackerRow, TrackingParts
from handlers.predictors.tracking.results import FrameResult
from handlers.processing.arrays import Floats, Image
from handlers.training.datasets.video import read_clip

WIDTH_PX = 320
BEFORE, AFTER = 16, 8  # frames on either side of a join
GONE = 20  # frames after a face has left
MOST_FRAMES = 40  # of a clip that are read
SPREAD = 0.5  # of its box, what goes with a face on every side
FPS = 25.0
KINDS = ("noise", "black", "another scene")


@dataclass(frozen=True)
class CutFigures:
    """Pairs joined, those with a new number and nobody under an old one, and after how many frames
    at most it was found; pairs whose faces were exchanged with the same outcome; clips, and those
    whose face keeps its number; frames after a face has left, and those in which something is
    reported."""

    pairs: int
    renewed: int
    slowest: int
    exchanged: int
    clips: int
    kept: int
    frames: int
    false: int


def evaluate_cuts(
    clips: Sequence[Path],
    model_store: Path,
    row: str = "DCRT-16",
    pairs: int = 60,
    seed: int = 0,
    device: str = "cpu",
    console: Console | None = None,
) -> CutFigures:
    """Measure a tracker of the store on the clips, each with a face; raises ValueError."""
    if len(clips) < 2:
        raise ValueError(f"{len(clips)} clips; at least 2 are needed to join one to another")
    follower = TrackingParts(model_store, device).follower(row)
    found = measure(follower, [_read(path) for path in clips], pairs, seed)
    out = console or Console()
    out.print(
        f"{row}: {found.renewed} of {found.pairs} joined pairs get a new number, "
        f"found within {found.slowest} frames; so do {found.exchanged} of {found.pairs} faces "
        f"exchanged in a picture that stays; {found.kept} of {found.clips} clips keep one number; "
        f"something is reported in {found.false} of "
        f"{found.frames} frames after a face was replaced by {', '.join(KINDS)}"
    )
    return found


def measure(row: TrackerRow, clips: Sequence[list[Image]], pairs: int, seed: int) -> CutFigures:
    """Join clips in some orders; take the face out of every clip in every way."""
    rng = np.random.default_rng(seed)
    orders = list(permutations(range(len(clips)), 2))
    chosen = [orders[index] for index in rng.permutation(len(orders))[:pairs]]
    delays = [_delay(row, _joined(clips[first], clips[second])) for first, second in chosen]
    renewed = [delay for delay in delays if delay is not None]
    seen = [_follow(row, clip) for clip in clips]
    exchanged = [
        _delay(row, _exchanged(clips[first], clips[second], seen[first], seen[second]))
        for first, second in chosen
    ]
    numbers = [{ident for result in results for ident in _shown(result)} for results in seen]
    left = [
        result
        for index, clip in enumerate(clips)
        for gone in _without_face(row, clip, clips[index - 1][0], rng)
        for result in gone
    ]
    false = sum(bool(_shown(result)) for result in left)
    return CutFigures(
        pairs=len(chosen),
        renewed=len(renewed),
        slowest=max(renewed, default=0),
        exchanged=sum(delay is not None for delay in exchanged),
        clips=len(clips),
        kept=sum(len(found) == 1 for found in numbers),
        frames=len(left),
        false=false,
    )


def _joined(first: list[Image], second: list[Image]) -> list[Image]:
    """Return the end of one clip, and the beginning of another at its size."""
    height, width = first[0].shape[:2]
    resized = [np.asarray(cv2.resize(one, (width, height)), np.uint8) for one in second[:AFTER]]
    return [*first[-BEFORE:], *resized]


def _exchanged(
    first: list[Image],
    second: list[Image],
    seen_first: Sequence[FrameResult],
    seen_second: Sequence[FrameResult],
) -> list[Image]:
    """Return the beginning of one clip, then its last frame with another face in the face's
    place."""
    there = _place(seen_first[BEFORE - 1], first[0])
    frames = first[:BEFORE]
    for picture, result in list(zip(second, seen_second, strict=True))[:AFTER]:
        here = _place(result, picture)
        if there is None or here is None:
            return frames
        (x1, y1, x2, y2), (left, top, right, bottom) = there, here
        changed = frames[BEFORE - 1].copy()
        changed[y1:y2, x1:x2] = cv2.resize(picture[top:bottom, left:right], (x2 - x1, y2 - y1))
        frames.append(changed)
    return frames


def _place(result: FrameResult, picture: Image) -> tuple[int, int, int, int] | None:
    """Find the place of a frame's face, with what goes with it; None without one."""
    if not _shown(result):
        return None
    return _widened(result.faces[0].box, picture.shape[1], picture.shape[0])


def _delay(row: TrackerRow, frames: list[Image]) -> int | None:
    """Tell after how many of the last frames their face is found; None for an old number or
    nobody."""
    results = _follow(row, frames)
    before, after = results[:BEFORE], results[BEFORE:]
    old = {ident for result in before for ident in _shown(result)}
    shown = [_shown(result) for result in after]
    if not shown or not shown[-1] or any(old & now for now in shown):
        return None
    return next(index for index, now in enumerate(shown) if now)


def _without_face(
    row: TrackerRow, clip: list[Image], other: Image, rng: np.random.Generator
) -> Iterator[list[FrameResult]]:
    """Follow a clip whose face is replaced, alone and with the whole picture."""
    here = clip[:BEFORE]
    faces = _follow(row, here)[-1].faces
    if not faces:
        return
    height, width = here[0].shape[:2]
    x1, y1, x2, y2 = _widened(faces[0].box, width, height)
    for kind in KINDS:
        filling = _filling(kind, other, width, height, rng)
        part = here[-1].copy()
        part[y1:y2, x1:x2] = filling[y1:y2, x1:x2]
        for picture in (part, filling):
            if kind == KINDS[2] and picture is filling:
                continue  # a whole other clip may show a face
            yield _follow(row, [*here, *[picture] * GONE])[-GONE:]


def _filling(kind: str, other: Image, width: int, height: int, rng: np.random.Generator) -> Image:
    if kind == "noise":
        return rng.integers(0, 256, (height, width, 3), np.uint8)
    if kind == "black":
        return np.zeros((height, width, 3), np.uint8)
    corner = other[: max(other.shape[0] // 5, 1), : max(other.shape[1] // 5, 1)]
    return np.asarray(cv2.resize(corner, (width, height)), np.uint8)


def _widened(box: Floats, width: int, height: int) -> tuple[int, int, int, int]:
    margin = SPREAD * float((box[2:] - box[:2]).max())
    low, high = np.maximum(box[:2] - margin, 0), np.minimum(box[2:] + margin, (width, height))
    x1, y1, x2, y2 = np.concatenate([low, high]).astype(int).tolist()
    return x1, y1, x2, y2


def _follow(row: TrackerRow, frames: Sequence[Image]) -> list[FrameResult]:
    state, results = None, []
    for number, frame in enumerate(frames):
        ((result, state),) = row.predictor.step([frame], [state], [row.options], [number / FPS])
        results.append(result)
    return results


def _shown(result: FrameResult) -> set[int]:
    return {face.track_id for face in result.faces if face.landmarks is not None}


def _read(path: Path) -> list[Image]:
    frames: list[Image] = []
    for frame in read_clip(path):
        height, width = frame.image.shape[:2]
        size = (WIDTH_PX, max(round(height * WIDTH_PX / width), 1))
        small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
        frames.append(np.asarray(small, np.uint8))
        if len(frames) == MOST_FRAMES:
            break
    if len(frames) < BEFORE:
        raise ValueError(f"{path} has {len(frames)} frames; at least {BEFORE} are needed")
    return frames
