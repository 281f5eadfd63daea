"""Frames of clips as columns of Parquet, with their types and units."""

import importlib
from typing import Any

from service.affect.clip_replies import AffectMoment
from service.affect.pages import COLUMNS, table_rows
from service.affect.replies import QUADRANTS
from service.clips.replies import ClipHead
from service.track.clip_replies import TrackMoment
from service.track.table import TRACK_COLUMNS, track_rows

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

    names = ("clip", *TRACK_COLUMNS)
    return arrow.schema([(name, kind(name)) for name in names], metadata=metadata)


def track_table(clip: str, moment: TrackMoment, head: ClipHead) -> list[dict[str, Any]]:
    """The rows of one frame, by column."""
    rows = track_rows(moment, head)
    return [{"clip": clip, **dict(zip(TRACK_COLUMNS, row, strict=True))} for row in rows]


def affect_schema(metadata: dict[str, str]) -> Any:
    """The columns of `affect_rows`: those of the service's table, then D's quadrants and attention
    over past states, a list, the oldest first."""
    arrow: Any = importlib.import_module("pyarrow")
    number, text, weights = arrow.float32(), arrow.string(), arrow.list_(arrow.float32())
    kinds = {
        **dict.fromkeys(WHOLE, arrow.int32()),
        **dict.fromkeys(("quadrant", "status", "model", "model_version"), text),
        **dict.fromkeys(("face", "voice"), arrow.bool_()),
        "timestamp": arrow.float64(),
    }
    columns = {
        "clip": text,
        **{name: kinds.get(name, number) for name in COLUMNS},
        **dict.fromkeys((f"p_{quadrant}" for quadrant in QUADRANTS), number),
        "attention": weights,
        "attention_ages_s": weights,
        "variant": text,
    }
    return arrow.schema(list(columns.items()), metadata=metadata)


def affect_rows(clip: str, head: ClipHead, moment: AffectMoment) -> list[dict[str, Any]]:
    """The rows of one moment, by column; None where not known."""
    quadrants = {str(name): share for name, share in (moment.quadrants or {}).items()}
    told: dict[str, Any] = {
        **{f"p_{name}": quadrants.get(name) for name in QUADRANTS},
        "attention": moment.attention,
        "attention_ages_s": moment.attention_ages_s,
    }
    rows = []
    for place, values in enumerate(table_rows(moment, head)):
        row = dict(zip(COLUMNS, values, strict=True))
        row |= {name: bool(row[name]) for name in ("face", "voice")}
        row |= told if place == 0 else dict.fromkeys(told)
        rows.append({"clip": clip, **row, "variant": head.variant})
    return rows
