"""Logs, metrics and traces; never a picture, a key or the name of a session."""

import importlib
import json
import logging
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any

from opentelemetry.trace import NoOpTracerProvider, Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from service.errors import ConfigurationError
from service.settings import Settings

# A key or a token, wherever somebody has put it.
SECRET = re.compile(r"(cntt?_)[A-Za-z0-9_.=-]{8,}")
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
CONTENT_TYPE = CONTENT_TYPE_LATEST
# A client may send any word as its method, and each would be a time series.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
BUCKETS_S = (0.005, 0.01, 0.02, 0.04, 0.06, 0.09, 0.13, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STORE_BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
BATCH_BUCKETS = (1, 2, 4, 8, 12, 16, 24, 32)
LIVE = ("track", "affect")  # models that have sessions
RARE = ("dropped", "error")  # statuses that may not come for days
GATE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SERVICE = "countenance"


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


class Metrics:
    """The measurements of one application; labels never come from a client unbounded."""

    def __init__(self) -> None:
        # Without a line of its own for the time at which each series began.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.requests = counter(
            "countenance_requests", "Requests answered.", ("method", "route", "status")
        )
        self.latency = histogram(
            "countenance_request_seconds",
            "Time from a request's head to its whole answer, in seconds.",
            ("route",),
            buckets=BUCKETS_S,
        )
        self.stages = histogram(
            "countenance_stage_seconds",
            "Time of one stage of a model's answer, in seconds.",
            ("model", "stage"),
            buckets=BUCKETS_S,
        )
        self._by_stage: dict[tuple[str, str], Histogram] = {}
        self.faces = counter("countenance_faces", "Faces found.", ("model",))
        self.faces_lost = counter(
            "countenance_faces_lost",
            "Frames in which a face that is followed was out of sight.",
            ("model",),
        )
        self.voice = counter(
            "countenance_voiced_frames", "Frames whose estimate used the voice.", ("model",)
        )
        self.gate = histogram(
            "countenance_gate",
            "Gate between face (1) and voice (0), a frame; its sum over its count is the mean.",
            ("model",),
            buckets=GATE_BUCKETS,
        )
        self.uploads = gauge("countenance_uploads", "Requests whose bodies still come.")
        self.clips = gauge("countenance_clips", "Clips that come in or are at work.")
        self.in_flight = gauge("countenance_in_flight", "Requests at work or waiting.")
        self.sockets = gauge("countenance_sockets", "Sockets open.", ("model",))
        self.sessions = counter(
            "countenance_sessions",
            "Sessions started, resumed, reset, taken over, and ended.",
            ("model", "event"),
        )
        self.frames = counter(
            "countenance_frames",
            "Frames answered, by the status of their reply.",
            ("model", "status"),
        )
        # Counted from nought: a rate would not see the first one else.
        for model in LIVE:
            for status in RARE:
                self.frames.labels(model, status)
        self.inference = histogram(
            "countenance_inference_seconds",
            "Time from a question to a model until its answer, in seconds.",
            ("model", "outcome"),
            buckets=BUCKETS_S,
        )
        self.batch_rows = histogram(
            "countenance_batch_rows",
            "Questions that shared the batch of one.",
            ("model",),
            buckets=BATCH_BUCKETS,
        )
        self.store = histogram(
            "countenance_store_seconds",
            "Time of one operation on the sessions, in seconds.",
            ("operation", "outcome"),
            buckets=STORE_BUCKETS_S,
        )
        self.bytes = counter(
            "countenance_bytes", "Bytes of bodies received (in) and sent (out).", ("direction",)
        )

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the route's pattern, not the address asked."""
        known = method if method in METHODS else "other"
        self.requests.labels(known, route, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def observe_stages(self, model: str, stages_ms: Mapping[str, float]) -> None:
        """Record how long each stage of one answer took, in milliseconds."""
        for stage, milliseconds in stages_ms.items():
            found = self._by_stage.get((model, stage))
            if found is None:
                found = self._by_stage[model, stage] = self.stages.labels(model, stage)
            found.observe(milliseconds / 1000)

    def render(self) -> bytes:
        """Return the page that Prometheus reads."""
        return generate_latest(self.registry)


class Tracing:
    """Spans for an OpenTelemetry collector; without an exporter they go nowhere.

    They tell names of routes and models, times, outcomes and request ids.
    """

    def __init__(self, exporter: Any = None) -> None:
        """Take what sends spans, in batches, on a thread of its own."""
        self._provider: Any = NoOpTracerProvider()
        self.exports = exporter is not None
        if self.exports:
            sdk = importlib.import_module("opentelemetry.sdk.trace")
            export = importlib.import_module("opentelemetry.sdk.trace.export")
            resources = importlib.import_module("opentelemetry.sdk.resources")
            resource = resources.Resource.create({"service.name": SERVICE})
            self._provider = sdk.TracerProvider(resource=resource)
            self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE)
        self._propagator = TraceContextTextMapPropagator()

    def span(
        self, name: str, headers: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Span]:
        """Open a span; a `traceparent` among the headers makes it go on with the client's trace."""
        parent = None if headers is None else self._propagator.extract(dict(headers))
        spans: AbstractContextManager[Span] = self._tracer.start_as_current_span(
            name, context=parent
        )
        return spans

    def close(self) -> None:
        """Send what is left."""
        if self.exports:
            self._provider.shutdown()


def make_tracing(settings: Settings) -> Tracing:
    """Return what the settings name; raises ConfigurationError where its packages are missing."""
    if settings.otlp_endpoint is None:
        return Tracing()
    module = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    try:
        exporter = importlib.import_module(module).OTLPSpanExporter
    except ImportError as error:
        raise ConfigurationError(
            "traces are asked for (otlp_endpoint), but a package is missing: "
            f"pip install 'countenance[tracing]' ({error.name})"
        ) from error
    return Tracing(exporter(endpoint=settings.otlp_endpoint))
