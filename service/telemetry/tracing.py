"""Traces for OpenTelemetry where they are asked for, nothing otherwise.

What is sent: names of routes and models, times, outcomes, request ids; no picture, no key, no name
of a session.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from service.errors import ConfigurationError
from service.settings import Settings

SERVICE = "countenance"


class Span(Protocol):
    """What is done with a span."""

    def set_attribute(self, key: str, value: str | int | float) -> None:
        """Note something about it."""


class Tracing(Protocol):
    """Where spans go."""

    def span(self, name: str, headers: Mapping[str, str] | None = None) -> Any:
        """Return a context manager of a Span, below the one that is open or that `headers` name."""

    def close(self) -> None:
        """Send what is left."""


class NoTracing:
    """The default: spans that go nowhere."""

    @contextmanager
    def span(self, name: str, headers: Mapping[str, str] | None = None) -> Iterator[Span]:
        """Do nothing."""
        yield self

    def set_attribute(self, key: str, value: str | int | float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class OtlpTracing:
    """Spans sent to a collector over HTTP, in batches, by a thread of their own."""

    def __init__(self, exporter: Any) -> None:
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        context = importlib.import_module(
            "opentelemetry.trace.propagation.tracecontext"
        ).TraceContextTextMapPropagator()
        resource = resources.Resource.create({"service.name": SERVICE})
        self._provider = sdk.TracerProvider(resource=resource)
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE)
        self._extract = context.extract

    @contextmanager
    def span(self, name: str, headers: Mapping[str, str] | None = None) -> Iterator[Span]:
        """Open a span; a `traceparent` among the headers makes it go on with the client's trace."""
        parent = None if headers is None else self._extract(dict(headers))
        with self._tracer.start_as_current_span(name, context=parent) as span:
            yield span

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def make_tracing(settings: Settings) -> Tracing:
    """Return what the settings name; raises ConfigurationError where its packages are missing."""
    if settings.otlp_endpoint is None:
        return NoTracing()
    module = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    try:
        exporter = importlib.import_module(module).OTLPSpanExporter
    except ImportError as error:
        raise ConfigurationError(
            "traces are asked for (otlp_endpoint), but a package is missing: "
            f"pip install 'countenance[tracing]' ({error.name})"
        ) from error
    return OtlpTracing(exporter(endpoint=settings.otlp_endpoint))
