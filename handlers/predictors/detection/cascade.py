"""MTCNN's cascade: proposals from an image pyramid, looked at twice more (Zhang et al. 2016)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import Engine
from handlers.engines.choice import run_all
from handlers.predictors.detection.proposals import (
    STRIDE_PX,
    cell_boxes,
    move,
    points_in,
    pyramid,
    pyramid_scales,
    sample_crops,
    tiles,
    to_square,
)
from handlers.processing.boxes import Measure, overlaps, suppress

Floats = NDArray[np.float32]

MOST_PX_BESIDE = 2_000_000
# Pixels that a network sees at once on a processor. Each is some 200 bytes within; beyond some
# megabytes they are fresh pages of memory at every call, which takes many times longer.
MOST_PX_AT_ONCE = 40_000

# From this score of R-Net on, what is no upright face may be one on its side or upside down.
DOUBTFUL = 0.5
QUARTERS = (1, 2, 3)
SAME_PLACE = 0.5

REFINE_PX = 24
OUTPUT_PX = 48
MANY = 2**31  # no bound
LEAST_SPLIT = 8  # crops: fewer are one batch


@dataclass(frozen=True)
class CascadeSettings:
    """Thresholds and bounds of the cascade, as the checkpoint's configuration keeps them.

    A threshold on the face score, and an overlap above which the weaker of two boxes goes, for
    each network; `level_overlap` acts within one level of the pyramid. `max_level_candidates`
    and `max_candidates` bound the boxes kept of a level and of a picture, `max_batch` the crops
    that a network sees at once.
    """

    proposal_threshold: float
    refine_threshold: float
    output_threshold: float
    level_overlap: float
    proposal_overlap: float
    refine_overlap: float
    output_overlap: float
    pyramid_factor: float
    max_level_candidates: int
    max_candidates: int
    max_batch: int


@dataclass(frozen=True)
class Candidates:
    """Possible faces of one picture: boxes `(N, 4)`, scores `(N,)`, points `(N, 5, 2)`.

    The points are zero until the last network has placed them.
    """

    boxes: Floats
    scores: Floats
    points: Floats

    @classmethod
    def boxed(cls, boxes: Floats, scores: Floats) -> "Candidates":
        return cls(boxes, scores, np.zeros((len(scores), 5, 2), np.float32))

    @classmethod
    def nothing(cls) -> "Candidates":
        return cls.boxed(np.empty((0, 4), np.float32), np.empty(0, np.float32))

    @classmethod
    def joined(cls, parts: Sequence["Candidates"]) -> "Candidates":
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.points for part in parts]),
        )

    def above(self, threshold: float) -> "Candidates":
        return self.take(self.scores > threshold)

    def best(self, count: int) -> "Candidates":
        return self if len(self.scores) <= count else self.take(np.argsort(-self.scores)[:count])

    def suppressed(self, limit: float, measure: Measure = "union") -> "Candidates":
        return self.take(suppress(self.boxes, self.scores, limit, measure))

    def squared(self) -> "Candidates":
        return Candidates(to_square(self.boxes), self.scores, self.points)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> "Candidates":
        return Candidates(self.boxes[index], self.scores[index], self.points[index])


class Cascade:
    """The three networks in turn; holds nothing between calls."""

    def __init__(self, engine: Engine, settings: CascadeSettings) -> None:
        """Take `engine`, which has the parts of `networks.mtcnn.MTCNN`."""
        self._engine, self._settings = engine, settings

    def run(self, images: Sequence[Floats], min_face_px: float) -> list[Candidates]:
        """Find faces, best first, in pictures `(H, W, 3)` float32 RGB on [0, 255] of one size."""
        return self._finish(images, self._narrow(images, self._propose(images, min_face_px)))

    def run_hinted(
        self, images: Sequence[Floats], min_face_px: float
    ) -> tuple[list[Candidates], list[dict[int, Candidates]]]:
        """Find the same faces, and places where R-Net and O-Net see a turned one.

        The latter by the quarters by which it is turned, clockwise as seen.
        """
        narrowed = self._narrow(images, self._propose(images, min_face_px))
        found = self._finish(images, narrowed)
        rest = [
            one.take(overlaps(one.boxes, faces.boxes, "smaller").max(1, initial=0) < SAME_PLACE)
            for one, faces in zip(narrowed, found, strict=True)
        ]
        return found, self._turned(images, rest)

    def _propose(self, images: Sequence[Floats], min_face_px: float) -> list[Candidates]:
        """Run P-Net over the pyramid."""
        settings = self._settings
        height, width = images[0].shape[:2]
        scales = pyramid_scales(height, width, min_face_px, settings.pyramid_factor)
        # The first level has as many pixels as all others together.
        groups = [group for group in (scales[:1], scales[1:]) if group]
        calls = [partial(self._propose_levels, images, group) for group in groups]
        # Beside each other, the levels of a large picture would take too much memory at once.
        small = height * width * len(images) <= MOST_PX_BESIDE
        parts = run_all(calls, self._engine.is_parallel and small)
        levels = [level for part in parts for level in part]
        # An empty one in front: a picture too small for any level has nothing to join.
        nothing = Candidates.nothing()
        found = [Candidates.joined([nothing, *parts]) for parts in zip(*levels, strict=True)]
        return [
            one.suppressed(settings.proposal_overlap).best(settings.max_candidates).squared()
            for one in found or [nothing for _ in images]
        ]

    def _propose_levels(
        self, images: Sequence[Floats], scales: Sequence[float]
    ) -> list[list[Candidates]]:
        stacks = zip(*(pyramid(image, scales) for image in images), strict=True)
        return [
            self._propose_level(np.stack(stack), scale)
            for stack, scale in zip(stacks, scales, strict=True)
        ]

    def _propose_level(self, level: Floats, scale: float) -> list[Candidates]:
        together = self._at_once(level.shape[1] * level.shape[2])
        starts = range(0, len(level), together)
        maps = _joined([self._propose_tiles(level[i : i + together]) for i in starts], 0)
        rows = zip(maps["scores"], maps["offsets"], strict=True)
        return [self._read_maps(scores, offsets, scale) for scores, offsets in rows]

    def _propose_tiles(self, level: Floats) -> dict[str, Floats]:
        """Return P-Net's maps of a level's pictures."""
        most = math.isqrt(self._at_once(STRIDE_PX**2))
        across = list(tiles(level.shape[2], most))
        return _joined(
            [
                _joined([self._answer("proposal", level[:, y, x]) for x in across], -1)
                for y in tiles(level.shape[1], most)
            ],
            -2,
        )

    def _at_once(self, pixels: int) -> int:
        """Return how many pieces of so many pixels a network sees at once."""
        return max(MOST_PX_AT_ONCE // pixels, 1) if self._engine.is_parallel else MANY

    def _read_maps(self, scores: Floats, offsets: Floats, scale: float) -> Candidates:
        """Read candidates off P-Net's scores `(h, w)` and offsets `(4, h, w)` of one picture."""
        rows, columns = np.nonzero(scores > self._settings.proposal_threshold)
        boxes = cell_boxes(rows, columns, offsets[:, rows, columns].T, scale)
        found = Candidates.boxed(boxes, scores[rows, columns])
        found = found.best(self._settings.max_level_candidates)
        return found.suppressed(self._settings.level_overlap)

    def _narrow(self, images: Sequence[Floats], found: list[Candidates]) -> list[Candidates]:
        """Run R-Net on every proposal: fewer and better boxes, doubtful ones among them."""
        settings = self._settings
        # Doubtful ones are kept for the look at turned faces; `_finish` leaves them out.
        least = min(DOUBTFUL, settings.refine_threshold)

        def read(seen: Candidates, scores: Floats, offsets: Floats) -> Candidates:
            kept = Candidates.boxed(move(seen.boxes, offsets), scores)
            return kept.above(least).suppressed(settings.refine_overlap)

        return [kept.squared() for kept in self._look("refine", REFINE_PX, images, found, read)]

    def _turned(
        self, images: Sequence[Floats], places: list[Candidates]
    ) -> list[dict[int, Candidates]]:
        """Find what R-Net and O-Net take for a face turned by one, two or three quarters."""
        settings = self._settings

        def above(threshold: float) -> Callable[..., Candidates]:
            return lambda seen, scores, *_: Candidates.boxed(seen.boxes, scores).above(threshold)

        # Every picture once for each quarter: the parts are asked once for all of them.
        shown = [image for image in images for _ in QUARTERS]
        found = [place for place in places for _ in QUARTERS]
        for part, size, threshold in (
            ("refine", REFINE_PX, settings.refine_threshold),
            ("output", OUTPUT_PX, settings.output_threshold),
        ):
            turns = QUARTERS * len(images)
            found = self._look(part, size, shown, found, above(threshold), turns)
        turned = iter(found)
        return [{quarter: next(turned) for quarter in QUARTERS} for _ in images]

    def _finish(self, images: Sequence[Floats], found: list[Candidates]) -> list[Candidates]:
        """Run O-Net on what R-Net is sure of: the final boxes and five points."""
        settings = self._settings
        sure = [one.above(settings.refine_threshold) for one in found]

        def read(
            seen: Candidates, scores: Floats, offsets: Floats, fractions: Floats
        ) -> Candidates:
            points = points_in(seen.boxes, fractions)
            kept = Candidates(move(seen.boxes, offsets), scores, points)
            kept = kept.above(settings.output_threshold)
            return kept.suppressed(settings.output_overlap, "smaller")

        return self._look("output", OUTPUT_PX, images, sure, read)

    def _look(
        self,
        part: str,
        size: int,
        images: Sequence[Floats],
        found: list[Candidates],
        read: Callable[..., Candidates],
        turns: Sequence[int] | None = None,
    ) -> list[Candidates]:
        """Show the candidates of all pictures to a part together and read its answers.

        With `turns`, those of each picture are turned back by so many quarters first.
        """
        counts = [len(one.scores) for one in found]
        if not any(counts):
            return found
        crops = np.concatenate(
            [
                np.rot90(sample_crops(image, one.boxes, size), turn, axes=(1, 2))
                for image, one, turn in zip(images, found, turns or [0] * len(found), strict=True)
            ]
        )
        most = min(self._settings.max_batch, self._at_once(size**2))
        if parallel := self._engine.is_parallel:
            # Two halves side by side, where each is worth a call.
            most = min(most, max(math.ceil(len(crops) / 2), LEAST_SPLIT))
        starts = range(0, len(crops), most)
        calls = [partial(self._answer, part, crops[i : i + most]) for i in starts]
        batches = run_all(calls, parallel)
        ends = np.cumsum(counts)[:-1]
        answers = [
            np.split(np.concatenate([batch[name] for batch in batches]), ends)
            for name in batches[0]
        ]
        return [read(one, *rest) for one, *rest in zip(found, *answers, strict=True)]

    def _answer(self, part: str, pictures: Floats) -> dict[str, Floats]:
        name = "levels" if part == "proposal" else "crops"
        return self._engine.run(part, **{name: _to_input(pictures)})


def _joined(parts: Sequence[Mapping[str, Floats]], axis: int) -> dict[str, Floats]:
    """Join the answers to parts of a question."""
    return {name: np.concatenate([part[name] for part in parts], axis) for name in parts[0]}


def _to_input(images: Floats) -> Floats:
    """Turn pictures `(B, H, W, 3)` on [0, 255] into `(B, 3, H, W)`."""
    scaled = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    scaled -= np.float32(127.5)
    scaled *= np.float32(1 / 128)
    return scaled
