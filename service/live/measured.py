"""The models with every question timed: how long it waited, how long it was at work, with whom."""

import time
from typing import Any

from service.errors import ServiceError
from service.inference import Answer, Inference, Question, Readiness
from service.telemetry import Metrics, Tracing


class MeasuredInference:
    """Passes everything on to another way to the models."""

    def __init__(self, inference: Inference, metrics: Metrics, tracing: Tracing) -> None:
        self._inference = inference
        self._metrics = metrics
        self._tracing = tracing

    async def open(self) -> None:
        """Make ready to answer."""
        await self._inference.open()

    async def close(self) -> None:
        """Let go of everything."""
        await self._inference.close()

    async def ask(self, model: str, question: Question) -> Answer:
        """Answer one question; raises ServiceError."""
        started, outcome = time.perf_counter(), "failed"
        with self._tracing.span(f"ask {model}") as span:
            try:
                answer = await self._inference.ask(model, question)
                outcome = "answered"
            except ServiceError as error:
                outcome = "refused" if error.problem.status < 500 else "failed"
                raise
            finally:
                seconds = time.perf_counter() - started
                self._metrics.inference.labels(model, outcome).observe(seconds)
                span.set_attribute("countenance.outcome", outcome)
            if (batch := answer.batch) is not None:
                self._metrics.batch_rows.labels(model).observe(batch.rows)
                waited_ms = max(0.0, seconds - batch.seconds) * 1000
                stages = {"queue": waited_ms, "inference": batch.seconds * 1000}
                self._metrics.observe_stages(model, stages)
                span.set_attribute("countenance.batch_rows", batch.rows)
            return answer

    async def describe(self) -> list[dict[str, Any]]:
        """Return what is known of every model."""
        return await self._inference.describe()

    async def readiness(self) -> Readiness:
        """Say whether questions can be answered, without answering one."""
        return await self._inference.readiness()
