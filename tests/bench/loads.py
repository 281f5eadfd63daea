"""Live sessions and requests as loads: what was sent, what came back, and how long it took."""

import asyncio
import json
import statistics
import struct
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

HEADER = struct.Struct("<cd")
LATE_S = 60.0


@dataclass
class Tally:
    """Everything that the clients of one load saw in the time that counts."""

    latencies_ms: list[float] = field(default_factory=list)
    stages_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    late_ms: list[float] = field(default_factory=list)  # of what was sent, after its time
    bytes_out: int = 0
    bytes_in: int = 0
    dropped: int = 0
    errors: int = 0

    def note(self, reply: dict[str, Any], sent: int, received: int, started_s: float) -> None:
        """Count one reply to what was sent at `started_s`."""
        self.bytes_out += sent
        self.bytes_in += received
        if reply.get("status") in ("dropped", "error"):
            self.dropped += reply["status"] == "dropped"
            self.errors += reply["status"] == "error"
            return
        self.latencies_ms.append((time.perf_counter() - started_s) * 1000)
        for stage, milliseconds in reply.get("timings_ms", {}).items():
            self.stages_ms[stage].append(milliseconds)

    def add(self, other: "Tally") -> None:
        """Count what another process's clients saw as this one's."""
        self.latencies_ms += other.latencies_ms
        self.late_ms += other.late_ms
        for stage, times in other.stages_ms.items():
            self.stages_ms[stage] += times
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in
        self.dropped += other.dropped
        self.errors += other.errors

    def summary(self, seconds: float, cpu_s: float) -> dict[str, Any]:
        """The figures of a load that lasted so long and cost so much processor time."""
        results = len(self.latencies_ms)
        replies = results + self.dropped + self.errors
        if results < 2:
            return {"results": results, "errors": self.errors, "dropped": self.dropped}
        cuts = statistics.quantiles(self.latencies_ms, n=100, method="inclusive")
        return {
            "results": results,
            "errors": self.errors,
            "dropped": self.dropped,
            "per_second": round(results / seconds, 2),
            "p50_ms": round(cuts[49], 1),
            "p95_ms": round(cuts[94], 1),
            "p99_ms": round(cuts[98], 1),
            "cpu_ms_each": round(cpu_s * 1000 / results, 1),
            "bytes_sent_each": round(self.bytes_out / replies),
            "bytes_received_each": round(self.bytes_in / replies),
            "stages_p50_ms": {
                stage: round(statistics.median(times), 2)
                for stage, times in sorted(self.stages_ms.items())
            },
        }


async def closed_track(address: str, image: bytes, until_s: float, tally: Tally) -> None:
    """One session that sends its next frame when it has the reply to the last."""
    async with connect(address, proxy=None, compression=None, ping_interval=None) as socket:
        while True:
            started_s = time.perf_counter()
            message = HEADER.pack(b"F", started_s) + image
            await socket.send(message)
            await _take(socket, tally, len(message), started_s)
            if time.perf_counter() > until_s:
                return


async def open_track(
    address: str, image: bytes, until_s: float, tally: Tally, rate_hz: float, phase_s: float = 0.0
) -> None:
    """One session that sends at its own pace, whatever comes back, from `phase_s` on."""
    sent: asyncio.Queue[float | None] = asyncio.Queue()
    async with connect(address, proxy=None, compression=None, ping_interval=None) as socket:

        async def read() -> None:
            while (sent_s := await sent.get()) is not None:
                await _take(socket, tally, len(image) + HEADER.size, sent_s)

        reading = asyncio.create_task(read())
        begun_s, number = time.perf_counter() + phase_s, 0
        while (due_s := begun_s + number / rate_hz) < until_s:
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            now_s = time.perf_counter()
            tally.late_ms.append((now_s - due_s) * 1000)
            sent.put_nowait(now_s)
            await socket.send(HEADER.pack(b"F", now_s) + image)
            number += 1
        sent.put_nowait(None)
        await reading


async def closed_align(address: str, image: bytes, until_s: float, tally: Tally) -> None:
    """One client of photographs, one after the other."""
    headers = {"Content-Type": "image/jpeg"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(LATE_S)) as session:
        while True:
            started_s = time.perf_counter()
            async with session.post(address, data=image, headers=headers) as response:
                body = await response.read()
            reply = json.loads(body) if response.status == 200 else {"status": "error"}
            tally.note(reply, len(image), len(body), started_s)
            if time.perf_counter() > until_s:
                return


async def _take(socket: ClientConnection, tally: Tally, sent: int, started_s: float) -> None:
    async with asyncio.timeout(LATE_S):
        text = await socket.recv()
    tally.note(json.loads(text), sent, len(text), started_s)
