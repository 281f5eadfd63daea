"""A clip through the affect model, its summary, and the ways to write it; photographs likewise."""

import math
from collections.abc import Sequence

from pydantic import BaseModel

from service.affect.replies import (
    EXPRESSIONS,
    REGIONS,
    AffectClipReply,
    AffectFrame,
    AffectFrameLine,
    AffectMoment,
    AffectSummaryLine,
    Estimate,
    FaceEstimate,
    PhotographReply,
    Spread,
    Summary,
)
from service.affect.session import MODEL, VOICE, AffectModel, AffectOptions, Frame, measure_frames
from service.affect.timeline import FaceStrip, Timeline, draw_timeline
from service.clips.replies import (
    CSV,
    JSON,
    NDJSON,
    SVG,
    ClipHead,
    ClipInfoBody,
    ClipTail,
    CsvPage,
    FrameAnswer,
    JsonPage,
    LinesPage,
    Page,
    WholePage,
    in_the_clip,
    on_the_wire,
    scaled_min_face_px,
)
from service.clips.serving import ChunkAnswer, ClipWork
from service.media.clips.contents import ClipChunk, ClipFrame
from service.openface import BOX_COLUMNS, FRAME_COLUMNS, frame_columns, write_rows

PHOTOGRAPH_TYPES = (JSON, NDJSON, CSV)
# A row a face.
COLUMNS = (
    *FRAME_COLUMNS,
    *("valence", "arousal", "quadrant", *EXPRESSIONS, "estimate_confidence"),
    *("gate", "face", "voice", "status"),
    *BOX_COLUMNS,
    *("model", "model_version"),
)


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


class AffectClip(ClipWork[AffectMoment]):
    """Estimates valence and arousal over one clip, chunk by chunk."""

    model = MODEL

    def __init__(self, model: AffectModel, options: AffectOptions, rate_hz: float) -> None:
        super().__init__(rate_hz)
        self._model = model
        self._options = options
        self._summarizer = Summarizer(rate_hz)
        self._is_heard = False

    @property
    def is_heard(self) -> bool:
        """Whether a voice was used for any moment."""
        return self._is_heard

    async def ask(self, chunk: ClipChunk, state: bytes | None) -> ChunkAnswer[AffectMoment]:
        """Estimate the moments of a chunk; raises ServiceError."""
        pictures = [frame.picture for frame in chunk.frames]
        frames: list[Frame] = [None if one is None else on_the_wire(one) for one in pictures]
        # The option is in pixels of the clip, whose pictures were shrunk.
        least = scaled_min_face_px(self._options.min_face_px, pictures)
        step = await self._model.step(
            frames,
            [frame.time_s for frame in chunk.frames],
            chunk.sound,
            self._options.model_copy(update={"min_face_px": least}),
            state,
            [one.width * one.height for one in pictures if one is not None],
        )
        said = step.outputs
        moments = [_moment(*pair) for pair in zip(chunk.frames, said.frames, strict=True)]
        return ChunkAnswer(
            moments, step.state, said.model, said.variant, said.status, said.notes, said.timings_ms
        )

    def note(self, moments: Sequence[AffectMoment]) -> None:
        """Count what the moments say."""
        measure_frames(moments, self._model.metrics)
        for moment in moments:
            self._summarizer.add(moment)
            self._is_heard = self._is_heard or VOICE in moment.used

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


class TimelinePage(WholePage):
    """The estimates over time as a picture; small pictures of the face only where asked for."""

    def __init__(self, with_faces: bool = False) -> None:
        self._timeline = Timeline()
        self._faces = FaceStrip() if with_faces else None

    def add(self, answer: FrameAnswer[AffectMoment]) -> bytes:
        """Keep what is drawn of one frame."""
        frame = answer.frame
        ages = list(zip(frame.attention_ages_s, frame.attention, strict=True))
        # Of a face alone the gate has nothing to weigh.
        gate = frame.gate if len(frame.used) > 1 else None
        self._timeline.add(frame.time_s, frame.valence, frame.arousal, gate, ages)
        if self._faces is not None:
            self._faces.add(answer)
        return b""

    def finish(self, clip: ClipInfoBody, summary: BaseModel, tail: ClipTail) -> bytes:
        """Draw."""
        title = f"Valence and arousal by {self.head.variant}, model {self.head.model.version}"
        faces = [] if self._faces is None else self._faces.faces
        return draw_timeline(self._timeline, faces, title).encode()


def page_of(media_type: str, with_faces: bool = False) -> Page:
    """Return a new page of one of the media types that are answered."""
    if media_type == SVG:
        return TimelinePage(with_faces)
    if media_type == CSV:
        return CsvPage(COLUMNS, table_rows)
    if media_type == NDJSON:
        return LinesPage(AffectFrameLine, AffectSummaryLine)
    return JsonPage(AffectClipReply)


def table_rows(moment: AffectMoment, head: ClipHead) -> list[tuple[object, ...]]:
    """Return the values of COLUMNS for each face of a moment; None for what is not known."""
    return [_row(moment, moment, head), *(_row(one, moment, head) for one in moment.others)]


def photograph_page(reply: PhotographReply, media_type: str) -> str:
    """Write the answer to a photograph in one of PHOTOGRAPH_TYPES."""
    if media_type == CSV:
        return write_rows([COLUMNS, *photograph_rows(reply)])
    text = reply.model_dump_json(by_alias=True)
    return text + "\n" if media_type == NDJSON else text


def photograph_rows(reply: PhotographReply) -> list[tuple[object, ...]]:
    """Return the values of COLUMNS for each face of a photograph, a frame at time zero."""
    return [
        (
            *(1, number, 0.0, one.face.face_probability, 1),
            *(one.valence, one.arousal, one.quadrant),
            *_shares(one),
            one.confidence,
            # Gate, face, voice, status: a picture has a face alone.
            *(None, 1, 0, None),
            *one.face.box,
            reply.model.name,
            reply.model.version,
        )
        for number, one in enumerate(reply.faces, 1)
    ]


def _shares(of: Estimate) -> list[float | None]:
    shares = {str(word): share for word, share in (of.expressions or {}).items()}
    return [shares.get(word) for word in EXPRESSIONS]


def _row(
    of: AffectMoment | FaceEstimate, moment: AffectMoment, head: ClipHead
) -> tuple[object, ...]:
    face = of.face
    used = of.used if isinstance(of, AffectMoment) else ["face"]
    return (
        *frame_columns(moment.frame, moment.time_s, face),
        *(of.valence, of.arousal, of.quadrant),
        *_shares(of),
        of.confidence,
        of.gate if isinstance(of, AffectMoment) else None,
        *(int(name in used) for name in ("face", "voice")),
        *([None] * 5 if face is None else [face.status, *face.box]),
        head.model.name,
        head.model.version,
    )
