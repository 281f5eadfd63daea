"""A stand-in for TorchServe in this process: it answers, fails and falls silent as a test says."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
from aiohttp import web

from service.inference import DESCRIBE

DESCRIPTION = {"name": "track", "version": "1", "sha256": "0" * 64}
# What a request comes to: a whole response, or the reply to each of its rows.
Behaviour = Callable[[web.Request], Awaitable[web.Response | bytes]]


def answered(outputs: dict[str, Any], state: bytes | None = None) -> bytes:
    """The reply of a handler to a row."""
    message = {"outputs": outputs} if state is None else {"outputs": outputs, "state": state}
    return bytes(msgpack.packb(message))


def refused(kind: str, detail: str) -> bytes:
    """The reply of a handler that takes the blame from itself."""
    return bytes(msgpack.packb({"error": {"type": kind, "detail": detail}}))


def status(code: int, kind: str = "InternalServerException") -> Behaviour:
    """A failure as TorchServe words it."""

    async def behave(_: web.Request) -> web.Response:
        return web.json_response({"code": code, "type": kind, "message": "no"}, status=code)

    return behave


async def reset(request: web.Request) -> web.Response:
    """Close the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class FakeWorker:
    """Echoes; what is in `next` happens first, one for every call. Knows only `models`.

    `calls` are the numbers of rows that came together, `questions` how many came in all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address = f"unix:{path}"
        self.next: list[Behaviour] = []
        self.models = {"track"}
        self.workers = 1
        self.calls: list[int] = []
        self.request_ids: list[str | None] = []
        self.describes: Behaviour | None = None
        self.silence = asyncio.Event()
        self.left = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def questions(self) -> int:
        return sum(self.calls)

    async def start(self) -> None:
        app = web.Application(client_max_size=2**30)
        app.router.add_post("/predictions/{model}", self._predict)
        app.router.add_get("/ping", self._ping)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.path)).start()

    async def stop(self) -> None:
        self.silence.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def hang(self, _: web.Request) -> web.Response:
        """Say nothing until the test ends or the asker leaves."""
        try:
            await self.silence.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return web.Response(status=500)

    async def _ping(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "Healthy"})

    async def _predict(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.match_info["model"] not in self.models:
            return await status(404, "ModelNotFoundException")(request)
        if body == DESCRIBE:
            return await self._describe(request)
        message = msgpack.unpackb(body)
        self.calls.append(len(message["rows"]))
        self.request_ids += message["request_ids"]
        found = await self.next.pop(0)(request) if self.next else None
        if isinstance(found, web.Response):
            return found
        replies = [self._echo(row) if found is None else found for row in message["rows"]]
        return web.Response(body=msgpack.packb({"replies": replies, "milliseconds": 1.0}))

    async def _describe(self, request: web.Request) -> web.Response:
        told = {"description": DESCRIPTION, "device": "cpu", "workers": self.workers}
        found = await self.describes(request) if self.describes is not None else answered(told)
        return found if isinstance(found, web.Response) else web.Response(body=found)

    def _echo(self, row: bytes) -> bytes:
        question = msgpack.unpackb(row)
        return answered({"at": self.path.name, **question["inputs"]}, question.get("state"))
