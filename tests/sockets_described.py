"""The bodies of sockets as AsyncAPI has them; `python -m tests.sockets_described` writes them."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.affect.replies import AffectReply
from service.affect.session import AffectSocketOptions
from service.live.messages import DroppedReply, ErrorReply, Options, OptionsReply, Reset
from service.track.replies import TrackReply
from service.track.session import SocketOptions

FILE = Path(__file__).parent.parent / "service" / "asyncapi.yaml"
HEAD = "components:\n"
WORDS: tuple[type[BaseModel], ...] = (SocketOptions, AffectSocketOptions, Options, Reset)
REPLIES: tuple[type[BaseModel], ...] = (
    TrackReply,
    OptionsReply,
    DroppedReply,
    ErrorReply,
    AffectReply,
)


def schemas() -> dict[str, Any]:
    """Every body by its name, as the code has it now."""
    found: dict[str, Any] = {}
    for mode, models in (("validation", WORDS), ("serialization", REPLIES)):
        _, definitions = models_json_schema(
            [(model, mode) for model in models], ref_template="#/components/schemas/{model}"
        )
        found |= definitions["$defs"]
    return dict(sorted((name, _as_draft_7(schema)) for name, schema in found.items()))


def _as_draft_7(schema: Any) -> Any:
    """AsyncAPI 3 knows the older word for the items of a tuple."""
    if isinstance(schema, list):
        return [_as_draft_7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        "items" if key == "prefixItems" else key: _as_draft_7(value)
        for key, value in schema.items()
    }


def main() -> None:
    """Write the file's second half anew."""
    text = FILE.read_text(encoding="utf-8")
    kept = text[: text.index("\n" + HEAD) + 1]
    written = yaml.safe_dump({"components": {"schemas": schemas()}}, sort_keys=False, width=98)
    FILE.write_text(kept + written, encoding="utf-8")


if __name__ == "__main__":
    main()
