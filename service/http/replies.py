"""Replies: the media type that a client likes best, and pieces sent while it waits for them."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.errors import Problem, ServiceError
from service.http.body import while_connected
from service.http.problems import as_service_error

SLICE_BYTES = 2**18  # what lies in memory of a reply that its client does not take
# Where the body has no place for notes: comments would break readers of tables.
NOTES_HEADER, MOST_NOTES_CHARACTERS = "Countenance-Notes", 4000
logger = logging.getLogger(__name__)


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """Return the offered type of the highest quality; earlier offers win ties.

    `accept` is the header's value, None where it was not sent, which accepts anything. The most
    specific range that covers an offer decides its quality. Raises ServiceError (not-acceptable).
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_parse_range(part) for part in accept.lower().split(",")]
    qualities = [_quality(offer, ranges) for offer in offered]
    best = max(qualities)
    if best <= 0:
        raise ServiceError(
            Problem.NOT_ACCEPTABLE, f"Accept is {accept[:100]!r}; on offer are {', '.join(offered)}"
        )
    return offered[qualities.index(best)]


def notes_header(notes: Sequence[str]) -> dict[str, str]:
    """Return the header that tells notes as a JSON list in ASCII; of very many the first ones."""
    told = list(notes)
    while told and len(json.dumps(told)) > MOST_NOTES_CHARACTERS:
        told.pop()
    return {NOTES_HEADER: json.dumps(told)} if told else {}


def _parse_range(part: str) -> tuple[str, float]:
    media, *parameters = [piece.strip() for piece in part.split(";")]
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return media, _parse_quality(value.strip())
    return media, 1.0


def _parse_quality(value: str) -> float:
    """Return a quality in [0, 1]; what is none counts as 0."""
    whole, _, digits = value.partition(".")
    if whole not in {"0", "1"} or not (digits == "" or (digits.isascii() and digits.isdigit())):
        return 0.0
    return min(1.0, float(value))


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    group = offer.partition("/")[0] + "/*"
    for pattern in (offer, group, "*/*"):
        found = [quality for media, quality in ranges if media == pattern]
        if found:
            return max(found)
    return 0.0


class PiecewiseResponse(Response):
    """Begins with the first piece: what is raised before it is a problem like any other.

    What is raised later ends the reply by the piece that `fail` makes of it. When the client goes,
    or does not take a piece within `send_s` seconds, the work is stopped where it is. `held` is let
    go of at the end, however that comes. `headers` may grow until the first piece is there.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        fail: Callable[[ServiceError], bytes],
        held: AsyncExitStack,
        send_s: float,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__()
        # Starlette has counted the body that it was given, which is none.
        del self.headers["content-length"]
        self._late_headers = headers
        self._send_s = send_s
        self._pieces = pieces
        self._fail = fail
        self._held = held
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make and send the pieces; the request's body must have been read to its end."""
        async with self._held:
            await while_connected(Request(scope, receive), self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        async with aclosing(self._pieces) as pieces:
            try:
                async for piece in pieces:
                    await self._send(send, piece)
            except ClientDisconnect:
                raise
            except Exception as error:
                known = as_service_error(error)
                if not self._begun:
                    raise
                if known.problem is Problem.INTERNAL:
                    logger.error("request failed after its reply had begun", exc_info=error)
                await self._send(send, self._fail(known))
        await self._send(send, b"", more=False)

    async def _send(self, send: Send, piece: bytes, more: bool = True) -> None:
        if not self._begun:
            self._begun = True
            self.headers.update(self._late_headers)
            start = {"type": "http.response.start", "status": self.status_code}
            await send({**start, "headers": self.raw_headers})
        await send_slowly(send, piece, self._send_s, more)


class HeldResponse(Response):
    """A whole reply that keeps `held` until its client has taken it.

    One that does not take a part of it within `send_s` seconds is given up.
    """

    def __init__(
        self,
        content: bytes | str,
        held: AsyncExitStack,
        send_s: float,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._held = held
        self._send_s = send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head and body."""
        async with self._held:
            start = {"type": "http.response.start", "status": self.status_code}
            await send({**start, "headers": self.raw_headers})
            await send_slowly(send, bytes(self.body), self._send_s, more=False)


async def send_slowly(send: Send, body: bytes, send_s: float, more: bool) -> None:
    """Send a part of a reply no faster than it is taken; raises ClientDisconnect.

    In slices: what is handed over at once lies in this process's memory until it is taken.
    """
    view = memoryview(body)
    try:
        for at in range(0, max(1, len(view)), SLICE_BYTES):
            last = at + SLICE_BYTES >= len(view)
            message = {"type": "http.response.body", "body": bytes(view[at : at + SLICE_BYTES])}
            async with asyncio.timeout(send_s):
                await send({**message, "more_body": more or not last})
    except TimeoutError:
        raise ClientDisconnect from None
