"""Faces in boxes to denoised 68 landmarks: what `POST /align` serves and evaluation measures."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import MIRRORED, Engine
from handlers.engines.choice import run_all
from handlers.networks.actions import ACTION_MIRROR, named_actions
from handlers.processing.boxes import Crop, to_image, to_input
from handlers.processing.landmarks import MIRROR, landmark_quality
from handlers.processing.windows import Bounds, to_view, upright_crop

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

_Found = tuple[Floats, Floats, Floats | None]  # points, spread and actions
CLEAN = "clean"
# Parts of an alignment model; a class's own denoiser has the class's name behind it.
LANDMARKS, CLASSIFY, DENOISE = "landmarks", "classify", "denoise"
# The three together, of windows and with their mirror images, where an engine has them.
LOOK, LOOK_MIRRORED = "look", "look_mirrored"
MAX_BATCH = 32

# A detector's box is rough: what is found in it is looked at once more, unless the face is clean
# and its own crop is all but the one that was looked at. On 529 faces of HELEN train, AFW and
# YouTube Faces a second look moves the AUC by -.002 to +.003.
LOOKS_AT_DETECTED = 2
NEAR = Bounds(0.06, 0.113, math.radians(12))


@dataclass(frozen=True)
class Alignment:
    """One face.

    `landmarks` float32 `(68, 2)` in pixels of the picture; `confidence` in [0, 1] falls with the
    spread of the landmark maps; `degradation` with its class `probabilities`; `denoised` tells
    whether a denoiser changed the crop. `crop` is the `(128, 128, 3)` uint8 window that was looked
    at last. `actions` are what the face does, by ARKit's names, each in [0, 1]; None where the
    network does not tell.
    """

    landmarks: Floats
    confidence: float
    degradation: str
    probabilities: dict[str, float]
    denoised: bool
    crop: Image
    actions: dict[str, float] | None = None

    def quality(self, score: float | None) -> float:
        """Rate the landmarks in [0, 1]; `score` is the detector's, if any."""
        clean = self.probabilities.get(CLEAN, 1.0)
        return landmark_quality(self.confidence, score, self.landmarks, clean)


@dataclass(frozen=True)
class Trust:
    """The limits by which spread landmark maps are no face: they belong to the weights.

    On DFA's maps, in shares of the crop, faces spread over 0.09 to 0.15 (blurred ones the most)
    and crops half a face off over more than 0.24; `middle` lies in between.
    """

    middle: float = 0.17
    step: float = 0.023

    def confidence(self, shares: Floats) -> float:
        """Return a logistic curve through the median of the maps' spreads `(68,)`, in shares of a
        crop."""
        off = (statistics.median(shares.tolist()) - self.middle) / self.step
        return float(1 / (1 + np.exp(off)))


@dataclass(frozen=True)
class AlignmentOptions:
    """Options of looking at a face.

    `context` widens its box; `classes` are the degradations that have a denoiser each, in the
    classifier's order behind "clean"; `flip` averages the last look with its mirror image. `trust`
    says what the spread of its maps tells.
    """

    context: float
    crop_px: int
    classes: tuple[str, ...] = ()
    flip: bool = True
    trust: Trust = Trust()


class _Look(NamedTuple):
    """One pass over a face and its results, in crop pixels."""

    windows: list[Image]
    points: Floats
    spread: Floats
    actions: Floats | None
    probabilities: Floats
    chosen: NDArray[np.int64]
    denoised: NDArray[np.bool_]


class AlignmentPredictor:
    """FADeNN and DFA (eq. 3.1, 4.8), and with no denoiser FLL and FLE.

    Faces of all pictures share batches; those of one degradation share their denoiser's.
    """

    def __init__(self, engine: Engine, options: AlignmentOptions) -> None:
        if LANDMARKS not in engine.parts:
            raise ValueError("an alignment predictor needs a network with landmarks")
        self.engine, self.options = engine, options
        self.classes = (CLEAN, *options.classes)

    def align(
        self,
        images: Sequence[Image],
        boxes: Sequence[Floats],
        denoise: bool = True,
        looks: int = 1,
        rolls: Sequence[Sequence[float]] | None = None,
    ) -> list[list[Alignment]]:
        """Find landmarks of the faces in `boxes[i]`, float32 `(n_i, 4)`, of `images[i]`.

        Pictures are uint8 RGB `(H, W, 3)`; boxes are tight around the landmarks, in pixels. Of at
        most `looks` at a face, each after the first is at a crop turned upright and centred on what
        the one before found; it is left out where that crop would be all but the same. The last two
        have the mirror image; those before only say where to look, for which they need none.
        `rolls[i]` are angles in radians by which faces are turned, clockwise as seen, or 0.
        """
        owners = [index for index, rows in enumerate(boxes) for _ in rows]
        flat = [np.asarray(box, np.float32) for rows in boxes for box in rows]
        found: list[list[Alignment]] = [[] for _ in images]
        pictures = [images[index] for index in owners]
        turns = [0.0] * len(flat) if rolls is None else [roll for row in rolls for roll in row]
        crops = [
            Crop.around(box, self.options.context, self.options.crop_px, turn)
            for box, turn in zip(flat, turns, strict=True)
        ]
        faces = self.look(pictures, crops, denoise, mirror=looks <= LOOKS_AT_DETECTED)
        for left in range(looks - 1, 0, -1):
            own = [self.upright(face.landmarks) for face in faces]
            again = [
                row
                for row, (face, crop) in enumerate(zip(faces, crops, strict=True))
                if left >= LOOKS_AT_DETECTED
                or face.denoised
                or not NEAR.hold(to_view(own[row]), to_view(crop))
            ]
            for row in again:
                crops[row] = own[row]
            seen = self.look(
                [pictures[row] for row in again],
                [crops[row] for row in again],
                denoise,
                mirror=left <= LOOKS_AT_DETECTED,
            )
            for row, face in zip(again, seen, strict=True):
                faces[row] = face
        for index, face in zip(owners, faces, strict=True):
            found[index].append(face)
        return found

    def look(
        self,
        images: Sequence[Image],
        crops: Sequence[Crop],
        denoise: bool = True,
        mirror: bool = True,
        likely_clean: bool = False,
    ) -> list[Alignment]:
        """Take one look at one crop of every picture; without `mirror` at no mirror image of it.

        Crops that are `likely_clean` are classified beside the look at them, where a core is free.
        """
        faces: list[Alignment] = []
        for start in range(0, len(crops), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            flip = mirror and self.options.flip
            seen = self._look(images[part], crops[part], denoise, flip, likely_clean)
            faces += [self._result(seen, row, crop) for row, crop in enumerate(crops[part])]
        return faces

    def upright(self, landmarks: Floats) -> Crop:
        """Return the crop that a second look takes."""
        return upright_crop(landmarks, self.options.context, self.options.crop_px)

    def clean(self, face: Alignment) -> Image:
        """Denoise the window that was looked at last; without a denoiser it stays as it is."""
        if not face.denoised:
            return face.crop
        part = f"{DENOISE}_{face.degradation}" if CLASSIFY in self.engine.parts else DENOISE
        return to_image(self.engine.run(part, crops=to_input([face.crop]))["cleaned"][0])

    def _look(
        self,
        pictures: Sequence[Image],
        crops: Sequence[Crop],
        denoise: bool,
        flip: bool,
        likely_clean: bool,
    ) -> _Look:
        windows = [crop.extract(picture) for crop, picture in zip(crops, pictures, strict=True)]
        if denoise and LOOK in self.engine.parts:
            return self._look_at_once(windows, flip)
        crops_seen = to_input(windows)
        rows = len(windows)
        chosen = np.zeros(rows, np.int64)
        probabilities, denoised = np.ones((rows, 1), np.float32), np.zeros(rows, np.bool_)
        located: list[Any] = []
        if denoise and CLASSIFY in self.engine.parts:
            calls: list[Callable[[], Any]] = [partial(self.engine.run, CLASSIFY, crops=crops_seen)]
            if likely_clean and self.engine.is_parallel:
                calls.insert(0, partial(self._points, crops_seen, flip))
            *located, told = run_all(calls, self.engine.is_parallel)
            probabilities = told["probabilities"]
            chosen = probabilities.argmax(axis=1)
            denoised = chosen > 0
            if denoised.any():
                crops_seen, located = self._clean(crops_seen, chosen), []
        elif denoise and DENOISE in self.engine.parts:
            denoised = np.ones(rows, np.bool_)
            crops_seen = self.engine.run(DENOISE, crops=crops_seen)["cleaned"]
        found: _Found = located[0] if located else self._points(crops_seen, flip)
        return _Look(windows, *found, probabilities, chosen, denoised)

    def _look_at_once(self, windows: list[Image], flip: bool) -> _Look:
        """Run a pass of which nothing is fetched but what it finds."""
        part, rows = LOOK_MIRRORED if flip else LOOK, len(windows)
        found = self.engine.run(part, windows=np.stack(windows))
        probabilities = found.get("probabilities", np.ones((rows, 1), np.float32))
        chosen = probabilities.argmax(axis=1)
        denoised = chosen > 0 if self.options.classes else np.ones(rows, np.bool_)
        return _Look(windows, *self._joined(found), probabilities, chosen, denoised)

    def _clean(self, crops: Floats, chosen: NDArray[np.int64]) -> Floats:
        """Put crops through the denoiser of their class, one batch a class; class 0 passes as it
        is."""
        cleaned = crops.copy()
        for index, name in enumerate(self.options.classes, start=1):
            rows = np.flatnonzero(chosen == index)
            if len(rows):
                cleaned[rows] = self.engine.run(f"{DENOISE}_{name}", crops=crops[rows])["cleaned"]
        return cleaned

    def _points(self, crops: Floats, flip: bool) -> _Found:
        if not flip:
            return self._joined(self.engine.run(LANDMARKS, crops=crops))
        found, mirrored = self._both(crops, crops[..., ::-1])
        return self._joined(found | {MIRRORED + name: one for name, one in mirrored.items()})

    def _both(self, first: Floats, second: Floats) -> list[dict[str, Floats]]:
        """Run the landmark network on two batches of one size."""
        if self.engine.is_parallel:
            calls = [partial(self.engine.run, LANDMARKS, crops=one) for one in (first, second)]
            return run_all(calls, in_parallel=True)
        rows = len(first)
        both = self.engine.run(LANDMARKS, crops=np.concatenate([first, second]))
        return [
            {name: one[part] for name, one in both.items()}
            for part in (slice(rows), slice(rows, None))
        ]

    def _joined(self, found: Mapping[str, Floats]) -> _Found:
        """Return points, spread and actions: the mean with those of the mirror image, if there are
        any."""
        points, spread, actions = found["points"], found["spread"], found.get("actions")
        if MIRRORED + "points" not in found:
            return points, spread, actions
        mirrored = found[MIRRORED + "points"][:, MIRROR]
        mirrored[..., 0] = self.options.crop_px - 1 - mirrored[..., 0]
        points = _mean(points, mirrored)
        spread = _mean(spread, found[MIRRORED + "spread"][:, MIRROR])
        if actions is not None:
            actions = _mean(actions, found[MIRRORED + "actions"][:, list(ACTION_MIRROR)])
        return points, spread, actions

    def _result(self, look: _Look, row: int, crop: Crop) -> Alignment:
        probabilities = dict(
            zip(self.classes, (float(p) for p in look.probabilities[row]), strict=False)
        )
        return Alignment(
            landmarks=crop.from_crop(look.points[row]),
            confidence=self.options.trust.confidence(look.spread[row] / self.options.crop_px),
            degradation=self.classes[int(look.chosen[row])],
            probabilities=probabilities,
            denoised=bool(look.denoised[row]),
            crop=look.windows[row],
            actions=None if look.actions is None else named_actions(look.actions[row]),
        )


def _mean(one: Floats, other: Floats) -> Floats:
    return np.asarray((one + other) / 2, np.float32)
