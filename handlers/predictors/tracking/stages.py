"""Lines 11 to 21 of Algorithm 1 and 2, each for all faces of all sessions that it concerns.

One thing is added to the thesis's: where FV rejects BT's landmarks, the landmark network looks
before the face is given up for this frame, and FV answers once more, of what that has found. BT is
rough on heads that turn or jerk, and the landmark network finds the face from a rough box.

A window with the face upright in its middle is what the landmark network reads best. BT's landmarks
are rough, but what they are off by changes little from frame to frame: so BT says how the face has
*moved* since the window was laid, and the window moves with it. Two rules follow:

- A window is **kept** until the face has moved in it by more than a few hundredths. BT trembles a
  little, and a window that trembled with it would shake the landmarks of a face at rest: the same
  pixels cut out half a pixel further give slightly other landmarks.
- The landmarks found say where the face really is. Where that is a little off the window's middle,
  the next frame's window starts from there; where it is more, as after a jerk or a detection, the
  network **looks again** at once.
"""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from handlers.engines.choice import run_all
from handlers.predictors.alignment import AlignmentPredictor
from handlers.predictors.tracking.attempt import SURE_UPRIGHT, Attempt, duplicates
from handlers.predictors.tracking.networks import Estimate, Recall, TrackingNetworks, View
from handlers.predictors.tracking.options import BoxSource
from handlers.predictors.tracking.state import Memory
from handlers.processing.landmarks import bounding_box
from handlers.processing.windows import Bounds, between, from_view, to_view

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

REST = 0.35  # the share of a new look that differs by nothing
OWN_MOTION, COMMON_MOTION = 0.02, 0.002  # shares of the face: from here on a look is taken whole
QUARTERS_RAD = (0.5 * np.pi, np.pi, 1.5 * np.pi)


KEEP = Bounds(0.03, 0.04, 0.05)
LOOK_AGAIN = Bounds(0.04, 0.07, 0.09)


def moved(view: Floats, motion: Floats) -> Floats:
    """Return a window after a motion."""
    centre = view[:2] + motion[:2] * view[2]
    return np.array([*centre, view[2] * np.exp(motion[2]), view[3] + motion[3]], np.float32)


def lay(guess: Floats, kept: Floats | None) -> Floats:
    """Return the windows of this frame `(2, 4)`: where to look, and BT's own when that was decided.

    `guess` `(4,)` is BT's window now, `kept` `(2, 4)` what this gave for the frame before.
    """
    if kept is None:
        return np.stack([guess, guess])
    if KEEP.hold(kept[1], guess):
        return kept
    return np.stack([moved(kept[0], between(kept[1], guess)), guess])


def anchor(view: Floats, own: Floats) -> Floats:
    """Return the windows `(2, 4)` that the next frame goes on from: `own` `(4,)` is the one that
    the landmarks found have themselves."""
    return view if KEEP.hold(view[0], own) else np.stack([own, view[1]])


def settle(points: Floats, before: Floats) -> Floats:
    """Calm landmarks `(68, 2)` of now by those held before, in pixels of their frames.

    The motion that all have in common and what each moves beside it are damped apart: the first is
    less noisy, and less of it is damped.
    """
    size = max(float(np.sqrt(np.prod(np.ptp(before, axis=0)))), 1.0)
    common = _median(points - before)
    moved = before + _share(float(np.hypot(*common)) / size, COMMON_MOTION) * common
    rest = points - moved
    own = np.linalg.norm(rest, axis=1, keepdims=True) / size
    share = _share(np.asarray(own, np.float64), OWN_MOTION)
    return np.asarray(moved + share * rest, np.float32)


def _median(values: Floats) -> Floats:
    """Compute the median of each column, as np.median has it, in a third of its time."""
    ordered = np.sort(values, axis=0)
    middle = len(values) // 2
    return np.asarray(ordered[middle - 1 + len(values) % 2 : middle + 1].mean(axis=0), np.float32)


def _share(motion: float | Doubles, whole: float) -> Doubles:
    """Compute the share of a motion that is believed, the motion in shares of the face."""
    return np.asarray(REST + (1 - REST) * np.minimum((motion / whole) ** 2, 1), np.float64)


class Stopwatch:
    """Milliseconds by name, from one lap to the next."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps_ms[name] = self.laps_ms.get(name, 0.0) + (now - self._last) * 1e3
        self._last = now


class TrackingStages:
    """The networks of a tracker in the order of the algorithm; works on the attempts of a step."""

    def __init__(self, networks: TrackingNetworks, aligner: AlignmentPredictor, t_c: float) -> None:
        self._networks, self._aligner, self._t_c = networks, aligner, t_c

    def run(self, attempts: Sequence[Attempt], clock: Stopwatch) -> None:
        """Take every attempt to its end."""
        tracked = [a for a in attempts if a.source is BoxSource.TRACKER and not a.lost]
        self._estimate(tracked)
        clock.lap("track")
        # The landmark network looks whatever FV says: both at once, where a core is free.
        aligned = [a for a in attempts if a.options.variant.aligns and not a.lost]
        calls = [partial(self._align, aligned), partial(self._validate, _asked(tracked))]
        run_all(calls, self._networks.validator.is_parallel)
        clock.lap("align")
        again = [a for a in tracked if a.lost and a.options.variant.aligns]
        previous = [a for a in attempts if a.source is BoxSource.PREVIOUS and not a.lost]
        self._validate(_asked(previous + again))
        for attempt in attempts:
            lost = attempt.lost and not attempt.is_vouched
            attempt.lost = lost or attempt.is_doubtful or self._is_turned(attempt)
        clock.lap("validate")
        _merge(attempts)
        self._remember([a for a in tracked if not a.is_dropped])
        clock.lap("remember")

    def _is_turned(self, attempt: Attempt) -> bool:
        """Tell whether a new face of which the landmark network is not sure is one turned by a
        quarter or more: the network sees it better so."""
        face = attempt.alignment
        new = attempt.target.is_new and attempt.options.variant.validates and not attempt.lost
        if not new or face is None or face.confidence >= SURE_UPRIGHT:
            return False
        boxes = np.repeat(bounding_box(face.landmarks)[None], len(QUARTERS_RAD), axis=0)
        denoise = attempt.options.variant.denoises
        (turned,) = self._aligner.align([attempt.frame], [boxes], denoise, 1, [QUARTERS_RAD])
        return max(other.confidence for other in turned) > face.confidence

    def _estimate(self, attempts: Sequence[Attempt]) -> None:
        """Apply lines 12 to 14: BT from P_b."""
        views = [View(attempt.frame, attempt.target.box) for attempt in attempts]
        estimates = self._networks.estimate(views, [_recall(attempt) for attempt in attempts])
        for attempt, estimate in zip(attempts, estimates, strict=True):
            attempt.estimate, attempt.landmarks = estimate, estimate.points

    def _validate(self, asked: Sequence[tuple[Attempt, Floats]]) -> None:
        """Apply lines 15 and 16: FV on landmarks of faces."""
        frames, landmarks = [a.frame for a, _ in asked], [points for _, points in asked]
        answers = self._networks.validate(frames, landmarks)
        for (attempt, _), answer in zip(asked, answers, strict=True):
            attempt.probability, attempt.lost = answer, answer < self._t_c

    def _align(self, attempts: Sequence[Attempt]) -> None:
        """Apply line 18: the landmark network at BT's landmarks, or without BT in the box
        so far."""
        ways = {(a.options.variant.denoises, a.looks) for a in attempts}
        for denoise, looks in sorted(ways):
            asked = [
                a for a in attempts if (a.options.variant.denoises, a.looks) == (denoise, looks)
            ]
            self._follow([a for a in asked if a.source is BoxSource.TRACKER], denoise)
            others = [a for a in asked if a.source is not BoxSource.TRACKER]
            boxes = [attempt.box[None] for attempt in others]
            faces = self._aligner.align([a.frame for a in others], boxes, denoise, looks)
            for attempt, (face,) in zip(others, faces, strict=True):
                attempt.landmarks, attempt.alignment = face.landmarks, face

    def _follow(self, attempts: Sequence[Attempt], denoise: bool) -> None:
        """Look in the windows of faces that BT has found, and again where they are off."""
        kept = [None if a.target.detected else a.target.face.view for a in attempts]
        views = [lay(self._own(a), view) for a, view in zip(attempts, kept, strict=True)]
        self._look(attempts, views, denoise)
        owns = [self._own(attempt) for attempt in attempts]
        off = [
            row
            for row, (view, own) in enumerate(zip(views, owns, strict=True))
            if not LOOK_AGAIN.hold(view[0], own)
        ]
        for row in off:
            views[row] = np.stack([owns[row], views[row][1]])
        self._look([attempts[row] for row in off], [views[row] for row in off], denoise)
        for attempt, view in zip(attempts, views, strict=True):
            attempt.landmarks = _settled(attempt, view)
            attempt.view = anchor(view, self._own(attempt))

    def _own(self, attempt: Attempt) -> Floats:
        """Return the window in which the landmarks so far are upright and in the middle."""
        assert attempt.landmarks is not None
        return to_view(self._aligner.upright(attempt.landmarks))

    def _look(self, attempts: Sequence[Attempt], views: Sequence[Floats], denoise: bool) -> None:
        crops = [from_view(view[0]) for view in views]
        clean = all(a.target.face.clean for a in attempts)
        faces = self._aligner.look([a.frame for a in attempts], crops, denoise, likely_clean=clean)
        for attempt, face in zip(attempts, faces, strict=True):
            attempt.landmarks, attempt.alignment = face.landmarks, face

    def _remember(self, attempts: Sequence[Attempt]) -> None:
        """Compute X_{t-1} of the next step: the features of X_t at its final box.

        A lost face that was looked for at its last valid box has been seen there already.
        """
        moved = [a for a in attempts if not np.array_equal(a.final_box, a.target.box)]
        features = self._networks.remember([View(a.frame, a.final_box) for a in moved])
        for attempt, one in zip(moved, features, strict=True):
            attempt.memory = _memory(attempt.estimate, one)
        for attempt in attempts:
            if attempt.memory is None and attempt.estimate is not None:
                attempt.memory = _memory(attempt.estimate, attempt.estimate.features)


def _asked(attempts: Sequence[Attempt]) -> list[tuple[Attempt, Floats]]:
    """Return the faces that FV is asked about, each with its landmarks so far."""
    asked = [a for a in attempts if a.options.variant.validates]
    return [(a, a.landmarks) for a in asked if a.landmarks is not None]


def _settled(attempt: Attempt, view: Floats) -> Floats | None:
    """Bring what is seen together with the frame before where the face is at rest."""
    face, landmarks = attempt.target.face, attempt.landmarks
    if landmarks is None or face.landmarks is None or view is not face.view:
        return landmarks
    return settle(landmarks, face.landmarks) if attempt.options.steady else landmarks


def _recall(attempt: Attempt) -> Recall:
    """Choose BT's start: h_0 on line 12; X_t's crop stands for both at a detection."""
    memory = attempt.target.face.memory
    if memory is None:
        return Recall(None, None)
    features = None if attempt.target.detected else memory["features"]
    return Recall(None if attempt.fresh else memory, features)


def _memory(estimate: Estimate | None, features: Floats) -> Memory:
    return {**(estimate.state if estimate else {}), "features": features}


def _merge(attempts: Sequence[Attempt]) -> None:
    """Lose all but one of a session's faces that have become one."""
    for session in {attempt.session for attempt in attempts}:
        followed = [a for a in attempts if a.session == session and not a.lost]
        faces = [attempt.target.face for attempt in followed]
        for index in duplicates(faces, [attempt.box for attempt in followed]):
            followed[index].lost = True
