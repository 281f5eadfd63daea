"""Log records into lines: one JSON object each (or text), with the request's id; never pictures."""

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from service.settings import Settings

# A key or a token, wherever somebody has put it.
SECRET = re.compile(r"(cntt?_)[A-Za-z0-9_.=-]{8,}")
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """Return values as the `extra` of a log call; each becomes a member of the line."""
    return {"fields": values}


class JsonFormatter(logging.Formatter):
    """One JSON object a line. Tracebacks carry no local variables: those could hold pictures."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`."""
        return escape(json.dumps(line_of(record, self), ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """The same for people: time, level, event, then what else is known.

    What others wrote stays within its line; those of a traceback begin with a bar.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`, with its traceback below."""
        line = line_of(record, self)
        start = f"{line.pop('time')[11:23]} {line.pop('level'):7} {line.pop('event')}"
        traceback = str(line.pop("exception", "")).splitlines()
        rest = " ".join(f"{name}={value}" for name, value in line.items())
        return "\n".join(
            [escape(f"{start}  {rest}"), *(f"  | {escape(text)}" for text in traceback)]
        )


def escape(text: str) -> str:
    """Return a line's text without keys, and with what is not printable written as JSON does."""
    text = SECRET.sub(r"\g<1>***", text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )


def line_of(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, Any]:
    """Return the members of a record's line, in order."""
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        "logger": record.name,
    }
    if (request_id := REQUEST_ID.get()) is not None:
        line["request_id"] = request_id
    line.update(getattr(record, "fields", {}))
    if record.exc_info:
        line["exception"] = formatter.formatException(record.exc_info)
    return line


def configure_logging(settings: Settings) -> None:
    """Send every record of this process, libraries' included, to stderr in one form.

    Called once, by whoever owns the process; importing or creating an application does not.
    Only our own packages speak at level debug: libraries write down heads of requests there, and
    with them keys.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.getLevelNamesMapping()[settings.log_level.upper()], logging.INFO))
    for ours in ("service", "handlers"):
        logging.getLogger(ours).setLevel(settings.log_level.upper())
