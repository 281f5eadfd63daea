"""Many live sessions at once, each sending one frame at a time, and what became of every frame."""

import asyncio
import io
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from tests.waiting import until

REPLY_S = 60.0
RESULTS = frozenset({"tracking", "redetected", "lost", "searching", "reset"})


@dataclass
class Sent:
    """A frame: when it went, when its reply came and what that was; None for no reply."""

    sent_s: float
    replied_s: float | None = None
    status: str | None = None
    step: int = 0
    stored: bool = True


@dataclass
class Damage:
    """What a stretch of time looked like to the clients."""

    frames: int
    unanswered: int
    statuses: Counter[str]
    longest_gap_s: float

    @property
    def share_of_results(self) -> float:
        results = sum(count for status, count in self.statuses.items() if status in RESULTS)
        return results / max(1, self.frames)


@dataclass
class Client:
    """One session; it comes back to the next address when its socket closes."""

    name: str
    addresses: Sequence[str]
    pause_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    closes: list[int | None] = field(default_factory=list)

    async def live(self) -> None:
        attempt = 0
        while True:
            address = self.addresses[attempt % len(self.addresses)]
            attempt += 1
            with suppress(OSError, InvalidMessage, TimeoutError):
                await self._connected(f"{address}/{self.name}")
            await asyncio.sleep(0.1)

    async def _connected(self, address: str) -> None:
        # By whatever number it is reached, the service is called by a name that it knows.
        parts = urlsplit(address)
        name, place = f"ws://localhost{parts.path}", {"host": parts.hostname, "port": parts.port}
        quiet = {"proxy": None, "compression": None, "ping_interval": None}
        async with connect(name, additional_headers=self.headers, **place, **quiet) as socket:
            try:
                for number in range(1_000_000):
                    await self._one(socket, number)
                    await asyncio.sleep(self.pause_s)
            except ConnectionClosed:
                self.closes.append(socket.close_code)

    async def _one(self, socket: Any, number: int) -> None:
        frame = Sent(time.monotonic())
        await socket.send(PICTURE)
        self.sent.append(frame)
        async with asyncio.timeout(REPLY_S):
            reply = json.loads(await socket.recv())
        assert reply["sequence"] == number, "replies in order, one a frame"
        frame.replied_s, frame.status = time.monotonic(), reply["status"]
        frame.step, frame.stored = reply.get("step", 0), reply.get("stored", True)

    @property
    def last(self) -> Sent:
        """The newest frame that was answered."""
        return next(frame for frame in reversed(self.sent) if frame.status is not None)

    @property
    def steps(self) -> list[int]:
        return [frame.step for frame in self.sent if frame.status in RESULTS]

    def gap_s(self, since_s: float) -> float:
        """The longest time without a result, beyond the client's own pauses."""
        times = [f.replied_s for f in self.sent if f.status in RESULTS and f.replied_s is not None]
        times = [max(since_s, moment) for moment in times if moment >= since_s - self.pause_s]
        gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
        return max(gaps, default=time.monotonic() - since_s) - self.pause_s


class Crowd:
    """So many clients, spread over the addresses, each `rate_hz` frames a second at most."""

    def __init__(
        self,
        addresses: Sequence[str],
        count: int = 50,
        rate_hz: float = 1.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.clients = [
            Client(
                f"s{n}", [*addresses[n % len(addresses) :], *addresses], 1 / rate_hz, headers or {}
            )
            for n in range(count)
        ]
        self._living: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for client in self.clients:
            self._living.append(asyncio.create_task(client.live()))
            await asyncio.sleep(0.01)
        await self.until_answered()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._living:
            task.cancel()
        ended = await asyncio.gather(*self._living, return_exceptions=True)
        for result in ended:
            if isinstance(result, Exception) and error is None:
                raise result

    async def until_answered(self) -> None:
        """Wait until every client has got a result for a frame that it sends from now on."""
        since_s = time.monotonic()
        async with asyncio.timeout(REPLY_S * 2):
            await until(lambda: all(self._answered(client, since_s) for client in self.clients))

    def damage(self, since_s: float) -> Damage:
        """What happened to the frames that were sent since then; the newest may still wait."""
        frames = [
            frame
            for client in self.clients
            for frame in client.sent
            if frame.sent_s >= since_s
            and (frame.status is not None or frame is not client.sent[-1])
        ]
        return Damage(
            len(frames),
            sum(frame.status is None for frame in frames),
            Counter(frame.status for frame in frames if frame.status is not None),
            max(client.gap_s(since_s) for client in self.clients),
        )

    @staticmethod
    def _answered(client: Client, since_s: float) -> bool:
        return any(frame.sent_s >= since_s and frame.status in RESULTS for frame in client.sent)


def _picture() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 48)).save(data, "JPEG")
    return data.getvalue()


PICTURE = _picture()
