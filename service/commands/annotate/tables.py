"""Frames of clips as columns of Parquet, with their types and units."""

import importlib
from typing import Any

from service.affect.replies import QUADRANTS, AffectFrame
from service.clips.replies import ClipHead
from service.commands.followers import Seen
from service.commands.track_reports import OPENFACE_COLUMNS, OUR_COLUMNS, as_rows
from service.openface import BOX_COLUMNS
from service.schemas import TrackedFace

WHOLE = {"frame", "face_id", "success"}
TEXT = {"clip", "status", "degradation", "variant", "model_version"}


def track_schema(metadata: dict[str, str]) -> Any:
    """The columns of `countenance track --csv`, pixels and radians as float32."""
    arrow: Any = importlib.import_module("pyarrow")

    def kind(name: str) -> Any:
        if name in WHOLE:
            return arrow.int32()
        if name in TEXT:
            return arrow.string()
        return arrow.float64() if name == "timestamp" else arrow.float32()

    names = ("clip", *OPENFACE_COLUMNS, *OUR_COLUMNS)
    return arrow.schema([(name, kind(name)) for name in names], metadata=metadata)


def track_rows(clip: str, seen: Seen) -> list[dict[str, Any]]:
    """The rows of one frame, by column."""
    names = (*OPENFACE_COLUMNS, *OUR_COLUMNS)
    return [{"clip": clip, **dict(zip(names, row, strict=True))} for row in as_rows(seen)]


def affect_schema(metadata: dict[str, str]) -> Any:
    """The columns of `affect_row`; attention over past states is a list, the oldest first."""
    arrow: Any = importlib.import_module("pyarrow")
    number, text, weights = arrow.float32(), arrow.string(), arrow.list_(arrow.float32())
    columns = {
        "clip": text,
        "timestamp": arrow.float64(),
        "valence": number,
        "arousal": number,
        "quadrant": text,
        **dict.fromkeys((f"p_{quadrant}" for quadrant in QUADRANTS), number),
        "gate": number,
        "face": arrow.bool_(),
        "voice": arrow.bool_(),
        "face_id": arrow.int32(),
        "status": text,
        "confidence": number,
        **dict.fromkeys(BOX_COLUMNS, number),
        "attention": weights,
        "attention_ages_s": weights,
        "variant": text,
        "model_version": text,
    }
    return arrow.schema(list(columns.items()), metadata=metadata)


def affect_row(clip: str, head: ClipHead, frame: AffectFrame) -> dict[str, Any]:
    """The row of one frame, by column; None where not known."""
    quadrants = frame.quadrants or {}
    return {
        "clip": clip,
        "timestamp": frame.time_s,
        "valence": frame.valence,
        "arousal": frame.arousal,
        "quadrant": frame.quadrant,
        **dict.fromkeys(f"p_{name}" for name in QUADRANTS),
        **{f"p_{name}": share for name, share in quadrants.items()},
        "gate": frame.gate,
        "face": "face" in frame.used,
        "voice": "voice" in frame.used,
        **_face_values(frame.face),
        "attention": frame.attention,
        "attention_ages_s": frame.attention_ages_s,
        "variant": head.variant,
        "model_version": head.model.version,
    }


def _face_values(face: TrackedFace | None) -> dict[str, Any]:
    if face is None:
        return dict.fromkeys(("face_id", "status", "confidence", *BOX_COLUMNS))
    return {
        "face_id": face.track_id,
        "status": face.status,
        "confidence": face.face_probability,
        **dict(zip(BOX_COLUMNS, face.box, strict=True)),
    }
