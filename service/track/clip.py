"""A clip's frames through the tracker, and the clip as a whole."""

from collections import Counter
from collections.abc import Sequence

from service.clips.run import Asked, in_the_clip, on_the_wire, scaled_min_face_px
from service.errors import Problem, ServiceError
from service.live.messages import RESET
from service.live.subject import Step
from service.media.clips.contents import ClipChunk, ClipFrame
from service.telemetry.metrics import Metrics
from service.track.blinks import Blinks
from service.track.clip_replies import TrackMoment, TrackSummary
from service.track.replies import TrackOutputs
from service.track.session import LOST, MODEL, Tracker, TrackOptions


class TrackClip:
    """Follows the faces of one clip, frame by frame."""

    def __init__(self, tracker: Tracker, options: TrackOptions, metrics: Metrics) -> None:
        self._tracker = tracker
        self._metrics = metrics
        self._options = options
        self._faces: set[int] = set()
        self._frames: Counter[str] = Counter()
        self._blinks = Blinks()

    async def ask(self, chunk: ClipChunk, state: bytes | None) -> Asked[TrackMoment]:
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
        return Asked(moments, state, last.model, last.variant, status, notes, dict(timings))

    def note(self, moments: Sequence[TrackMoment]) -> None:
        """Count what the frames say."""
        for moment in moments:
            self._blinks.note(moment.time_s, moment.faces)
            lost = sum(face.status == LOST for face in moment.faces)
            self._metrics.faces_lost.labels(MODEL).inc(lost)
            self._faces |= {face.track_id for face in moment.faces}
            seen = any(face.landmarks is not None for face in moment.faces)
            self._frames["seen" if seen else "lost" if moment.faces else "none"] += 1

    def summarize(self) -> TrackSummary:
        """Return what was counted."""
        return TrackSummary(
            faces=len(self._faces),
            frames_with_face=self._frames["seen"],
            frames_lost=self._frames["lost"],
            frames_without=self._frames["none"],
            blinks=self._blinks.found,
        )

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
    return TrackMoment.model_construct(
        frame=None if frame.number is None else frame.number + 1,
        time_s=frame.time_s,
        status=outputs.status,
        faces=[in_the_clip(face, scale) for face in outputs.faces],
    )
