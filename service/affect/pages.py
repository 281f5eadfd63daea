"""The ways affect can be written: JSON, lines of JSON, a table; of a clip, a timeline too."""

from pydantic import BaseModel

from service.affect.replies import (
    EXPRESSIONS,
    AffectClipReply,
    AffectFrameLine,
    AffectMoment,
    AffectSummaryLine,
    Estimate,
    FaceEstimate,
    PhotographReply,
)
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
    JsonPage,
    LinesPage,
    Look,
    Page,
    WholePage,
)
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


class TimelinePage(WholePage):
    """The estimates over time as a picture; small pictures of the face only where asked for."""

    def __init__(self, with_faces: bool = False) -> None:
        self._timeline = Timeline()
        self._faces = FaceStrip() if with_faces else None

    def add(self, look: Look[AffectMoment]) -> bytes:
        """Keep what is drawn of one frame."""
        frame = look.frame
        ages = list(zip(frame.attention_ages_s, frame.attention, strict=True))
        gate = frame.gate if len(frame.used) > 1 else None
        self._timeline.add(frame.time_s, frame.valence, frame.arousal, gate, ages)
        if self._faces is not None:
            self._faces.add(look)
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
