"""Counters and timings of one application, in Prometheus's text format."""

from collections.abc import Mapping

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

CONTENT_TYPE = CONTENT_TYPE_LATEST
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
BUCKETS_S = (0.005, 0.01, 0.02, 0.04, 0.06, 0.09, 0.13, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STORE_BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)

BATCH_BUCKETS = (1, 2, 4, 8, 12, 16, 24, 32)
LIVE = ("track", "affect")
RARE = ("dropped", "error")
GATE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Metrics:
    """The measurements of one application; labels never come from a client unbounded."""

    def __init__(self) -> None:
        # Without a line of its own for the time at which each series began.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "countenance_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.latency = Histogram(
            "countenance_request_seconds",
            "Time from a request's head to its whole answer, in seconds.",
            ("route",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.stages = Histogram(
            "countenance_stage_seconds",
            "Time of one stage of a model's answer, in seconds.",
            ("model", "stage"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.faces = Counter(
            "countenance_faces", "Faces found.", ("model",), registry=self.registry
        )
        self.faces_lost = Counter(
            "countenance_faces_lost",
            "Frames in which a face that is followed was out of sight.",
            ("model",),
            registry=self.registry,
        )
        self.voice = Counter(
            "countenance_voiced_frames",
            "Frames whose estimate used the voice.",
            ("model",),
            registry=self.registry,
        )
        self.gate = Histogram(
            "countenance_gate",
            "Gate between face (1) and voice (0), a frame; its sum over its count is the mean.",
            ("model",),
            buckets=GATE_BUCKETS,
            registry=self.registry,
        )
        self.uploads = Gauge(
            "countenance_uploads", "Requests whose bodies still come.", registry=self.registry
        )
        self.clips = Gauge(
            "countenance_clips", "Clips that come in or are at work.", registry=self.registry
        )
        self.in_flight = Gauge(
            "countenance_in_flight", "Requests at work or waiting.", registry=self.registry
        )
        self.sockets = Gauge(
            "countenance_sockets", "Sockets open.", ("model",), registry=self.registry
        )
        self.sessions = Counter(
            "countenance_sessions",
            "Sessions started, resumed, reset, taken over, and ended.",
            ("model", "event"),
            registry=self.registry,
        )
        self.frames = Counter(
            "countenance_frames",
            "Frames answered, by the status of their reply.",
            ("model", "status"),
            registry=self.registry,
        )
        # Counted from nought: a rate would not see the first one else.
        for model in LIVE:
            for status in RARE:
                self.frames.labels(model, status)
        self.inference = Histogram(
            "countenance_inference_seconds",
            "Time from a question to a model until its answer, in seconds.",
            ("model", "outcome"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.batch_rows = Histogram(
            "countenance_batch_rows",
            "Questions that shared the batch of one.",
            ("model",),
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        self.store = Histogram(
            "countenance_store_seconds",
            "Time of one operation on the sessions, in seconds.",
            ("operation", "outcome"),
            buckets=STORE_BUCKETS_S,
            registry=self.registry,
        )
        self.bytes = Counter(
            "countenance_bytes",
            "Bytes of bodies received (in) and sent (out).",
            ("direction",),
            registry=self.registry,
        )

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the route's pattern, not the address asked."""
        known = method if method in METHODS else "other"
        self.requests.labels(known, route, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def observe_stages(self, model: str, stages_ms: Mapping[str, float]) -> None:
        """Record how long each stage of one answer took, in milliseconds."""
        for stage, milliseconds in stages_ms.items():
            self.stages.labels(model, stage).observe(milliseconds / 1000)

    def render(self) -> bytes:
        """Return the page that Prometheus reads."""
        return generate_latest(self.registry)
