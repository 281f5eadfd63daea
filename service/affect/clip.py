"""A clip's frames and sound through the affect model, and their summary."""

import math
from collections.abc import Sequence

from service.affect.model import VOICE, AffectModel, AffectOptions, Frame, measure_frames
from service.affect.replies import REGIONS, AffectFrame, AffectMoment, Spread, Summary
from service.affect.sounds import Sound
from service.clips.run import Asked, in_the_clip, on_the_wire, scaled_min_face_px
from service.media.clips.contents import ClipChunk, ClipFrame
from service.telemetry import Metrics


class Moments:
    """Mean, deviation and extent of numbers that are not kept."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0
        self._min, self._max = math.inf, -math.inf

    def add(self, value: float) -> None:
        """Count one number (Welford's sums)."""
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self._squares += step * (value - self.mean)
        self._min, self._max = min(self._min, value), max(self._max, value)

    def spread(self) -> Spread | None:
        """Return what the numbers were like, None without any."""
        if not self.count:
            return None
        std = math.sqrt(self._squares / self.count)
        return Spread(mean=self.mean, std=std, min=self._min, max=self._max)


class Summarizer:
    """Takes frames as they come; a frame lasts until the next one, the last as long as a tick."""

    def __init__(self, rate_hz: float) -> None:
        self._tick_s = 1 / rate_hz
        self._valence, self._arousal, self._gate = Moments(), Moments(), Moments()
        self._seconds = dict.fromkeys(REGIONS, 0.0)
        self._last: AffectFrame | None = None
        self._frames = self._faces = self._voices = 0

    def add(self, frame: AffectFrame) -> None:
        """Count one frame."""
        self._frames += 1
        self._faces += "face" in frame.used
        self._voices += "voice" in frame.used
        for moments, value in (
            (self._valence, frame.valence),
            (self._arousal, frame.arousal),
            (self._gate, frame.gate),
        ):
            if value is not None:
                moments.add(value)
        if self._last is not None:
            self._lasts(self._last, frame.time_s - self._last.time_s)
        self._last = frame

    def summary(self) -> Summary:
        """Return the summary, to be asked for once, after the last frame."""
        if self._last is not None:
            self._lasts(self._last, self._tick_s)
        return Summary(
            valence=self._valence.spread(),
            arousal=self._arousal.spread(),
            seconds=self._seconds,
            share_with_face=self._faces / max(1, self._frames),
            share_with_voice=self._voices / max(1, self._frames),
            gate_mean=self._gate.mean if self._gate.count else None,
        )

    def _lasts(self, frame: AffectFrame, seconds: float) -> None:
        if frame.quadrant is not None:
            self._seconds[frame.quadrant] += seconds


class AffectClip:
    """Estimates valence and arousal over one clip, chunk by chunk."""

    def __init__(
        self, model: AffectModel, options: AffectOptions, rate_hz: float, metrics: Metrics
    ) -> None:
        self._model = model
        self._options = options
        self._metrics = metrics
        self._summarizer = Summarizer(rate_hz)
        self._heard = False

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
            self._heard = self._heard or VOICE in moment.used

    def heard(self) -> bool:
        """Return whether a voice was used for any moment."""
        return self._heard

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
