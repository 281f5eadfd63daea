"""Frames of clips as columns of Parquet, with their types and units."""

import importlib
from typing import Any

from service.commands.followers import Seen
from service.commands.poses import Poses
from service.commands.track_reports import OPENFACE_COLUMNS, OUR_COLUMNS, as_rows

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


def track_rows(clip: str, seen: Seen, poses: Poses | None) -> list[dict[str, Any]]:
    """The rows of one frame, by column."""
    names = (*OPENFACE_COLUMNS, *OUR_COLUMNS)
    return [{"clip": clip, **dict(zip(names, row, strict=True))} for row in as_rows(seen, poses)]
