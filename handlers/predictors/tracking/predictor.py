"""Frames and the states of their sessions to faces and the next states: Algorithms 1 and 2."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.alignment import AlignmentPredictor
from handlers.predictors.detection.detector import FaceDetector
from handlers.predictors.tracking.attempt import NEW, Attempt, plan
from handlers.predictors.tracking.changes import CLEAR, FaceThumbnail, compare, follow, look
from handlers.predictors.tracking.networks import TrackingNetworks
from handlers.predictors.tracking.options import BoxSource, TrackingOptions, TrackingSettings
from handlers.predictors.tracking.results import (
    LEAST_QUALITY_TURNED,
    UPRIGHT,
    FrameResult,
    conclude,
    is_upright,
    quarters_of,
    turned,
    turned_back,
)
from handlers.predictors.tracking.stages import Stopwatch, TrackingStages
from handlers.predictors.tracking.state import FaceState, SessionState

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Answer = tuple[FrameResult, SessionState]


# While nobody is there, the detector runs at most so often; a face just lost is looked for at once.
SEARCH_S, TIMES_TOLERANCE_S = 0.125, 0.001
EAGER = 8


@dataclass(frozen=True)
class Session:
    """One row of a batch: a frame, uint8 RGB `(H, W, 3)`, and what its session brings to it."""

    frame: Image
    state: SessionState
    options: TrackingOptions
    time_s: float | None

    def __post_init__(self) -> None:
        if self.options.smoothing is not None and self.time_s is None:
            raise ValueError("smoothing needs the time of every frame in seconds")

    @property
    def faces(self) -> tuple[FaceState, ...]:
        """Those followed; the oldest stay where `max_faces` has become smaller."""
        return self.state.faces[: self.options.max_faces]

    def needs_detection(self) -> bool:
        """Apply line 3 of Algorithm 2; and now and then, while there is room for more faces."""
        options, faces = self.options, self.faces
        if options.variant.source is BoxSource.DETECTOR:
            return True
        if any(0 < face.lost <= EAGER for face in faces):
            return True
        if all(face.lost for face in faces) and self._has_just_searched():
            return False
        if not faces or any(face.lost for face in faces):
            return True
        due = self.state.since_detection + 1 >= options.discover_every
        return due and len(faces) < options.max_faces

    def _has_just_searched(self) -> bool:
        """Tell whether the detector ran a moment ago, as far as times are known."""
        if self.time_s is None:
            return False
        return 0 <= self.time_s - self.state.detected_s < SEARCH_S - TIMES_TOLERANCE_S


class TrackingPredictor:
    """CRCT, DCRT and the trackers they are compared with, for many sessions at once.

    Nothing of a session stays here: the same frames, states and options give the same answers.
    How a face keeps its number is written in `attempt`.
    """

    def __init__(
        self,
        networks: TrackingNetworks,
        detector: FaceDetector,
        aligner: AlignmentPredictor,
        settings: TrackingSettings,
    ) -> None:
        self.networks, self.settings, self._detector = networks, settings, detector
        self._stages = TrackingStages(networks, aligner, settings.t_c)

    def step(
        self,
        frames: Sequence[Image],
        states: Sequence[SessionState | None],
        options: Sequence[TrackingOptions],
        times_s: Sequence[float | None] | None = None,
    ) -> list[Answer]:
        """Step one frame of every session: uint8 RGB `(H, W, 3)`, the session's state (None: a new
        one), its options, and the frame's time in seconds, which smoothing needs and searches use.

        Faces of all sessions share the batches of each network. Raises ValueError where smoothing
        is asked for without a time.
        """
        rows = zip(frames, states, options, times_s or [None] * len(frames), strict=True)
        sessions = [
            Session(frame, enter(frame, state, option), option, time_s)
            for frame, state, option, time_s in rows
        ]
        clock = Stopwatch()
        answers = self._look(sessions, clock)
        turned = [
            (index, attempted)
            for index, (session, (result, state)) in enumerate(zip(sessions, answers, strict=True))
            for attempted in turns_for(session, result, state)
        ]
        again = self._look([attempted for _, attempted in turned], clock)
        for (index, _), answer in zip(turned, again, strict=True):
            # Of equals `max` keeps the first: a turned frame has to be better.
            answers[index] = max(answers[index], answer, key=surest)
        return answers

    def _look(self, sessions: Sequence[Session], clock: Stopwatch) -> list[Answer]:
        """Take sessions through a frame, each turned as its state says."""
        upright = [replace(s, frame=turned(s.frame, s.state.quarters)) for s in sessions]
        return [
            (turned_back(result, before.state.quarters, before.frame), state)
            for before, (result, state) in zip(sessions, self._run(upright, clock), strict=True)
        ]

    def _run(self, sessions: Sequence[Session], clock: Stopwatch) -> list[Answer]:
        found = self._detect(sessions)
        clock.lap("detect")
        attempts = [self._plan(i, sessions[i], found.get(i, [])) for i in range(len(sessions))]
        self._stages.run([attempt for part in attempts for attempt in part], clock)
        return [
            self._conclude(session, attempts[i], i in found, clock.laps_ms)
            for i, session in enumerate(sessions)
        ]

    def _detect(self, sessions: Sequence[Session]) -> dict[int, list[Floats]]:
        """Apply line 4: landmark boxes of the detected faces, for the sessions that need them."""
        groups: dict[int, list[int]] = {}
        for index, session in enumerate(sessions):
            if session.needs_detection():
                groups.setdefault(session.options.min_face_px, []).append(index)
        found: dict[int, list[Floats]] = {}
        for min_face_px, members in groups.items():
            faces = self._detector.detect([sessions[i].frame for i in members], min_face_px)
            for index, detections in zip(members, faces, strict=True):
                found[index] = [detection.landmark_box for detection in detections]
        return found

    def _plan(self, index: int, session: Session, detections: list[Floats]) -> list[Attempt]:
        """Apply lines 5 to 11: P_b of every face, and whether BT's state is reset."""
        by_detection = session.options.variant.source is BoxSource.DETECTOR
        return [
            Attempt(
                index,
                session.frame,
                session.options,
                target,
                fresh=self._is_reset(target.face),
                lost=by_detection and not target.detected,
            )
            for target in plan(session.faces, detections, session.options, self.settings.t_b)
        ]

    def _is_reset(self, face: FaceState) -> bool:
        """Apply line 11; and before BT's first step there is nothing but h_0."""
        return face.memory is None or face.lost > 0 or face.window > self.settings.seq_bt

    def _conclude(
        self,
        session: Session,
        attempts: Sequence[Attempt],
        detected: bool,
        timings_ms: dict[str, float],
    ) -> tuple[FrameResult, SessionState]:
        """Number the new faces, report all, and keep those that are not given up."""
        before, next_id = session.state, session.state.next_id
        shown, kept = [], []
        for attempt in attempts:
            if attempt.is_dropped:
                continue
            looks = recognise(attempt, session.time_s)
            track_id = next_id if attempt.target.is_new else attempt.target.face.track_id
            if attempt.is_unsure:
                track_id = NEW
            next_id = max(next_id, track_id + 1)
            face, state = conclude(attempt, track_id, session.time_s)
            state = replace(state, looks=looks)
            shown += [] if attempt.is_unsure else [face]
            kept.append(state)
        patience = self.settings.patience
        faces = tuple(f for f in kept if patience is None or f.lost <= patience)
        since = 0 if detected else before.since_detection + 1
        time_s = -math.inf if session.time_s is None else session.time_s
        result = FrameResult(before.step + 1, tuple(shown), timings_ms, searched=detected)
        after = SessionState(
            before.step + 1,
            next_id,
            since,
            faces,
            time_s if detected else before.detected_s,
            before.scene,
            before.quarters if faces else UPRIGHT,
            0 if faces else before.searches + detected,
        )
        return result, after


def recognise(attempt: Attempt, time_s: float | None) -> FaceThumbnail | None:
    """Return the last clear look at a face; where another person is in its place, that is a new
    face."""
    face, seen = attempt.target.face, attempt.alignment
    looks = None if face.looks is None else replace(face.looks, age=face.looks.age + 1)
    if attempt.lost or attempt.landmarks is None or not attempt.options.variant.validates:
        return looks
    is_other = attempt.is_of_other_size
    looks = None if is_other else looks
    if seen is not None and seen.confidence >= CLEAR:
        now = FaceThumbnail(
            look(attempt.frame, attempt.landmarks), math.nan if time_s is None else time_s
        )
        looks, is_unlike = compare(looks, now)
        is_other = is_other or is_unlike
    if is_other:
        box = attempt.final_box
        attempt.target = replace(attempt.target, face=FaceState(NEW, box, box))
    return looks


def turns_for(session: Session, result: FrameResult, after: SessionState) -> list[Session]:
    """Return the session with its frame turned, where a search has found nobody, or nobody upright
    who is surely a face: an upright mesh on a turned head is none."""
    options = session.options
    if not options.variant.validates or not result.searched or session.state.faces:
        return []
    if surest((result, after)) >= LEAST_QUALITY_TURNED:
        return []
    searches = 0 if after.faces else session.state.searches
    least = max(options.min_quality, LEAST_QUALITY_TURNED)
    options = replace(options, min_quality=least)
    state = replace(session.state, faces=(), detected_s=-math.inf)
    return [
        replace(session, state=replace(state, quarters=quarters), options=options)
        for quarters in quarters_of(searches)
    ]


def surest(answer: Answer) -> float:
    """Rate an answer by its best face that is upright, turned as the session is: 0 where others
    alone are followed, below that where none is."""
    result, after = answer
    upright = [
        face.alignment.quality(None)
        for face in result.faces
        if face.alignment and face.landmarks is not None
        if is_upright(face.landmarks, after.quarters)
    ]
    return max(upright, default=0.0 if after.faces else -1.0)


def enter(frame: Image, state: SessionState | None, options: TrackingOptions) -> SessionState:
    """Return the state that a frame is looked at with: after a cut nobody is followed any more."""
    before = state or SessionState()
    if not options.variant.validates:
        return before
    scene, is_cut = follow(before.scene, frame)
    if not is_cut:
        return replace(before, scene=scene)
    return replace(before, scene=scene, faces=(), quarters=UPRIGHT, detected_s=-math.inf)
