"""What is measured and traced of a question to the models, and that nothing private is."""

import importlib

import pytest

from service.app import create_app
from service.errors import ConfigurationError, Problem, ServiceError
from service.inference import Answer, Batch
from service.live.model import Model
from service.settings import Settings
from service.telemetry import Metrics, Tracing, make_tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
sdk = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")


@pytest.fixture
def exporter():
    return sdk.InMemorySpanExporter()


class Batching:
    """Answers as one of three rows that took 20 ms."""

    async def ask(self, model, question):
        if question.inputs.get("bad"):
            raise ServiceError(Problem.INVALID_IMAGE, "bad")
        return Answer({}, None, Batch(3, 0.02))


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_a_question_is_counted_with_its_batch_its_wait_and_its_outcome():
    services = create_app(Settings(), Batching()).state.services
    model, metrics = Model("track", services), services.metrics
    await model.ask({}, {})
    with pytest.raises(ServiceError):
        await model.ask({"bad": True}, {})
    counted = "countenance_inference_seconds_count"
    assert sample(metrics, counted, model="track", outcome="answered") == 1
    assert sample(metrics, counted, model="track", outcome="refused") == 1
    assert sample(metrics, "countenance_batch_rows_sum", model="track") == 3
    spent = sample(metrics, "countenance_stage_seconds_sum", model="track", stage="inference")
    assert spent == pytest.approx(0.02)
    waits = sample(metrics, "countenance_stage_seconds_count", model="track", stage="queue")
    assert waits == 1


async def test_a_question_s_span_lies_in_its_request_s_and_that_in_the_client_s(
    inference, make_client, picture, exporter, monkeypatch
):
    monkeypatch.setattr("service.app.make_tracing", lambda settings: Tracing(exporter))
    client = make_client(headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    reply = await client.post("/align", content=picture())
    assert reply.status_code == 200
    tracing = client._transport.app.state.services.tracing
    tracing.close()
    asked, request = exporter.get_finished_spans()
    assert (asked.name, request.name) == ("ask align", "request")
    assert asked.parent.span_id == request.context.span_id
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.attributes["http.route"] == "/align"
    assert request.attributes["countenance.request_id"] == reply.headers["x-request-id"]


async def test_no_key_and_no_session_s_name_is_traced(keys, exporter):
    path, first, _ = keys
    tracing = Tracing(exporter)
    with tracing.span("request", {"authorization": f"Bearer {first}"}):
        pass
    tracing.close()
    assert first not in exporter.get_finished_spans()[0].to_json()


def test_traces_that_are_asked_for_need_their_package(monkeypatch):
    settings = Settings(otlp_endpoint="http://127.0.0.1:4318/v1/traces")

    def missing(name):
        raise ImportError(name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ConfigurationError, match=r"countenance\[tracing\]"):
        make_tracing(settings)


def test_without_a_collector_nothing_is_traced(inference):
    app = create_app(Settings(), inference)
    assert not app.state.services.tracing.exports
