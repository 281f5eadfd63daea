"""A clip's frames through the tracker, its blinks, and its faces as OpenFace's table."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from service.clips.replies import ClipHead, in_the_clip, on_the_wire, scaled_min_face_px
from service.clips.serving import ChunkAnswer, ClipWork
from service.errors import Problem, ServiceError
from service.live.messages import RESET
from service.live.model import Step
from service.media.clips.contents import ClipChunk, ClipFrame
from service.openface import (
    ACTIONS,
    BOX_COLUMNS,
    FRAME_COLUMNS,
    POINT_COLUMNS,
    POSE_COLUMNS,
    UNIT_COLUMNS,
    action_values,
    frame_columns,
    openface_points,
    openface_pose,
    unit_values,
)
from service.schemas import TrackedFace
from service.track.replies import Blink, TrackMoment, TrackOutputs, TrackSummary
from service.track.session import LOST, MODEL, Tracker, TrackOptions

LIDS = ("eyeBlinkLeft", "eyeBlinkRight")  # their mean closes with a blink; one alone may wink
USUAL_S = 3.0  # what a face's lids are usually like is their median over so long
CLOSING, OPENING = 0.22, 0.12  # how far lids rise above the usual where a blink begins, and ends
LONGEST_S = 0.8  # eyes that stay shut for longer do not blink
OPENFACE_COLUMNS = (*FRAME_COLUMNS, *POSE_COLUMNS, *POINT_COLUMNS, *UNIT_COLUMNS)
OUR_COLUMNS = (*BOX_COLUMNS, "status", "degradation", "variant", "model_version", *ACTIONS)
TRACK_COLUMNS = (*OPENFACE_COLUMNS, *OUR_COLUMNS)


class TrackTally:
    """Counts the frames of a clip or a camera, its faces and their blinks."""

    def __init__(self) -> None:
        self._faces: set[int] = set()
        self._frames: Counter[str] = Counter()
        self._blinks = Blinks()

    def add(self, time_s: float, faces: Sequence[TrackedFace]) -> None:
        """Count the next frame."""
        self._blinks.note(time_s, faces)
        self._faces |= {face.track_id for face in faces}
        seen = any(face.landmarks is not None for face in faces)
        self._frames["seen" if seen else "lost" if faces else "none"] += 1

    def summary(self) -> TrackSummary:
        """Return what was counted."""
        return TrackSummary(
            faces=len(self._faces),
            frames_with_face=self._frames["seen"],
            frames_lost=self._frames["lost"],
            frames_without=self._frames["none"],
            blinks=self._blinks.found,
        )


class TrackClip(ClipWork[TrackMoment]):
    """Follows the faces of one clip, frame by frame."""

    model = MODEL
    most_side = 1920

    def __init__(self, tracker: Tracker, options: TrackOptions, rate_hz: float | None) -> None:
        super().__init__(rate_hz)
        self._tracker = tracker
        self._options = options
        self._tally = TrackTally()

    async def ask(self, chunk: ClipChunk, state: bytes | None) -> ChunkAnswer[TrackMoment]:
        """Step the tracker by every frame of a chunk; raises ServiceError."""
        told: list[TrackOutputs] = []
        for frame in chunk.frames:
            step = await self._step(frame, state)
            told.append(step.outputs)
            state = step.state
        last = told[-1]
        reset = any(outputs.status == RESET for outputs in told)
        timings: Counter[str] = Counter()
        for outputs in told:
            timings.update(outputs.timings_ms)
        moments = [_moment(*pair) for pair in zip(chunk.frames, told, strict=True)]
        notes = [note for outputs in told for note in outputs.notes]
        status = RESET if reset else last.status
        return ChunkAnswer(moments, state, last.model, last.variant, status, notes, dict(timings))

    def note(self, moments: Sequence[TrackMoment]) -> None:
        """Count what the frames say."""
        for moment in moments:
            lost = sum(face.status == LOST for face in moment.faces)
            self._tracker.metrics.faces_lost.labels(MODEL).inc(lost)
            self._tally.add(moment.time_s, moment.faces)

    def summarize(self) -> TrackSummary:
        """Return what was counted."""
        return self._tally.summary()

    async def _step(self, frame: ClipFrame, state: bytes | None) -> Step[TrackOutputs]:
        picture = frame.picture
        if picture is None:
            raise ServiceError(Problem.EMPTY_CLIP, "it holds sound alone, no pictures")
        least = scaled_min_face_px(self._options.min_face_px, [picture])
        options = self._options.model_copy(update={"min_face_px": least})
        pixels = picture.width * picture.height
        return await self._tracker.look(on_the_wire(picture), pixels, frame.time_s, options, state)


def _moment(frame: ClipFrame, outputs: TrackOutputs) -> TrackMoment:
    scale = 1.0 if frame.picture is None else frame.picture.scale
    # Checked as it came from the model; a second time would cost every frame.
    return TrackMoment.model_construct(
        frame=None if frame.number is None else frame.number + 1,
        time_s=frame.time_s,
        status=outputs.status,
        faces=[in_the_clip(face, scale) for face in outputs.faces],
    )


@dataclass
class _Lids:
    """The recent lids of a face: times and values, and since when they are closed."""

    seen: deque[tuple[float, float]] = field(default_factory=deque)
    closed_s: float | None = None

    def usual(self, time_s: float) -> float | None:
        """Return the median of the last seconds, None at the beginning."""
        while self.seen and self.seen[0][0] < time_s - USUAL_S:
            self.seen.popleft()
        return median(value for _, value in self.seen) if self.seen else None


class Blinks:
    """Watches the lids of every face; holds a few seconds of each."""

    def __init__(self) -> None:
        self.found: list[Blink] = []
        self._lids: dict[int, _Lids] = {}

    def note(self, time_s: float, faces: Sequence[TrackedFace]) -> None:
        """Look at the faces of the next frame; one that is gone or lost is forgotten."""
        shown = {face.track_id: face.actions for face in faces if face.actions is not None}
        self._lids = {track_id: self._lids.get(track_id, _Lids()) for track_id in shown}
        for track_id, actions in shown.items():
            closed = sum(actions[name] for name in LIDS) / len(LIDS)
            self._step(track_id, self._lids[track_id], time_s, closed)

    def _step(self, track_id: int, lids: _Lids, time_s: float, closed: float) -> None:
        usual = lids.usual(time_s)
        lids.seen.append((time_s, closed))
        if usual is None:
            return
        if lids.closed_s is None and closed - usual >= CLOSING:
            lids.closed_s = time_s
        elif lids.closed_s is not None and closed - usual < OPENING:
            if time_s - lids.closed_s <= LONGEST_S:
                blink = Blink(track_id=track_id, start_s=lids.closed_s, end_s=time_s)
                self.found.append(blink)
            lids.closed_s = None


def track_rows(moment: TrackMoment, head: ClipHead) -> list[list[Any]]:
    """Return the values of TRACK_COLUMNS, a row a face; None where not known.

    A frame without a face has a row too, with `success` 0 and `face_id` 0. `frame` counts from 1,
    `timestamp` is in seconds, angles are in radians, places in millimetres.
    """
    frame, model = moment.frame, (head.variant, head.model.version)
    if not moment.faces:
        nothing = [None] * len((*POSE_COLUMNS, *POINT_COLUMNS, *UNIT_COLUMNS, *BOX_COLUMNS))
        told = [moment.status, None, *model, *action_values(None)]
        return [[*frame_columns(frame, moment.time_s, None), *nothing, *told]]
    return [
        [
            *frame_columns(frame, moment.time_s, face),
            *_face_values(face),
            *model,
            *action_values(face.actions),
        ]
        for face in moment.faces
    ]


def _face_values(face: TrackedFace) -> list[Any]:
    nowhere = [None] * len(POINT_COLUMNS)
    return [
        *openface_pose(face.pose),
        *(nowhere if face.landmarks is None else openface_points(face.landmarks)),
        *unit_values(face.actions),
        *face.box,
        face.status,
        face.degradation and face.degradation.kind,
    ]
