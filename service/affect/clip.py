"""A clip's frames and sound through the affect model."""

from collections.abc import Sequence

from service.affect.clip_replies import AffectMoment, Summary
from service.affect.model import AffectModel, AffectOptions, Frame, measure_frames
from service.affect.replies import AffectFrame
from service.affect.sounds import Sound
from service.affect.summary import Summarizer
from service.clips.run import Asked, in_the_clip, on_the_wire, scaled_min_face_px
from service.media.clips.contents import ClipChunk, ClipFrame
from service.telemetry.metrics import Metrics


class AffectClip:
    """Estimates valence and arousal over one clip, chunk by chunk."""

    def __init__(
        self, model: AffectModel, options: AffectOptions, rate_hz: float, metrics: Metrics
    ) -> None:
        self._model = model
        self._options = options
        self._metrics = metrics
        self._summarizer = Summarizer(rate_hz)

    async def ask(self, chunk: ClipChunk, state: bytes | None) -> Asked[AffectMoment]:
        """Estimate the moments of a chunk; raises ServiceError."""
        pictures = [frame.picture for frame in chunk.frames]
        frames: list[Frame] = [None if one is None else on_the_wire(one) for one in pictures]
        sound = None if chunk.sound is None else Sound(chunk.sound.start, chunk.sound.pcm)
        least = scaled_min_face_px(self._options.min_face_px, pictures)
        step = await self._model.step(
            frames,
            [frame.time_s for frame in chunk.frames],
            sound,
            self._options.model_copy(update={"min_face_px": least}),
            state,
            [one.width * one.height for one in pictures if one is not None],
        )
        said = step.outputs
        moments = [_moment(*pair) for pair in zip(chunk.frames, said.frames, strict=True)]
        return Asked(
            moments, step.state, said.model, said.variant, said.status, said.notes, said.timings_ms
        )

    def note(self, moments: Sequence[AffectMoment]) -> None:
        """Count what the moments say."""
        measure_frames(moments, self._metrics)
        for moment in moments:
            self._summarizer.add(moment)

    def summarize(self) -> Summary:
        """Return what was counted; to be asked for once."""
        return self._summarizer.summary()


def _moment(frame: ClipFrame, found: AffectFrame) -> AffectMoment:
    moment = AffectMoment.model_construct(
        **dict(found), frame=None if frame.number is None else frame.number + 1
    )
    if moment.face is not None and frame.picture is not None:
        moment.face = in_the_clip(moment.face, frame.picture.scale)
        for other in moment.others:
            other.face = in_the_clip(other.face, frame.picture.scale)
    return moment
