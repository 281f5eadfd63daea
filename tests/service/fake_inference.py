"""A stand-in for the models, which answers what a test tells it to."""

import asyncio
from typing import Any

from service.align.interface import ALIGN_REPLY, EXAMPLE_MODEL
from service.inference import Answer, Question, Readiness


class FakeInference:
    """Answers every question with `outputs` or raises `error`, and remembers the questions."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.outputs: dict[str, Any] = dict(ALIGN_REPLY)
        self.error: Exception | None = None
        self.release: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.cancelled = False
        self.ready = True
        self.closed = False

    async def open(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        self.closed = True

    async def ask(self, model: str, question: Question) -> Answer:
        self.questions.append(question)
        self.asked.set()
        try:
            if self.release is not None:
                await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        return Answer(self.outputs)

    async def describe(self, model: str | None = None) -> list[dict[str, Any]]:
        return [dict(EXAMPLE_MODEL)]

    async def readiness(self) -> Readiness:
        reason = None if self.ready else "still loading"
        return Readiness(self.ready, "cpu", ("align",), reason)
