"""`python -m tests.serving.attacks [NAME...]`: what one client can do to another, measured.

A service with the shipped models is started in a process of its own, on loopback, with the keys of
two principals. One does its worst for some seconds, the other goes on with what it usually does:
requests for a small picture and a live session. Printed are the other's usual times beside those
under attack, its session's rate, and how the process grew. Every attack is bounded and ends by
itself. The bounds that these figures are held against are those of SECURITY.md.
"""

import asyncio
import json
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import aiohttp
import httpx
import numpy as np
from PIL import Image
from websockets.asyncio.client import connect

from service.keys import new_key
from tests.made_clips import portrait
from tests.made_pictures import encoded
from tests.serving.deployment import ServiceProcess

PORT_ANSWERS_S = 120.0
USUAL_S, ATTACK_S, PAUSE_S = 6.0, 12.0, 0.05
PANORAMA, PHOTOGRAPH = (16383, 3000), (3600, 2700)
# The largest that are taken, and those that are worked on beside them.
LARGE = (
    ("RGBA", "WEBP", PANORAMA),
    ("RGB", "PNG", PANORAMA),
    ("RGB", "JPEG", PANORAMA),
    ("RGB", "JPEG", PHOTOGRAPH),
)


@dataclass
class Target:
    """The service under attack, and the keys of who attacks and of who is to notice nothing."""

    service: ServiceProcess
    attacker: dict[str, str]
    other: dict[str, str]
    answers: Counter[int] = field(default_factory=Counter)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.service.port}"

    def memory_mb(self) -> float:
        return self.service.memory_mb()

    @property
    def head(self) -> str:
        """The lines of a request's head that name the attacker."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.attacker.items())

    async def open(self) -> asyncio.StreamWriter:
        """Connect from an address that the other does not come from."""
        _, writer = await asyncio.open_connection(
            "127.0.0.1", self.service.port, local_addr=("127.0.0.2", 0)
        )
        return writer


@dataclass
class Seen:
    """What the other principal saw: times of its requests, and of its session's replies."""

    requests_s: list[float] = field(default_factory=list)
    replies_s: list[float] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    peak_mb: float = 0.0

    def median_ms(self) -> float:
        return statistics.median(self.requests_s or [ATTACK_S]) * 1000

    def worst_ms(self) -> float:
        return max(self.requests_s, default=ATTACK_S) * 1000

    def rate_hz(self, seconds: float) -> float:
        return len(self.replies_s) / seconds


@cache
def large(mode: str, name: str, side: tuple[int, int]) -> bytes:
    """A picture of one colour with a little noise in a corner."""
    picture = Image.new(mode, side)
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 4), np.uint8)
    picture.paste(Image.fromarray(noise).convert(mode))
    return encoded(picture, name, **({"lossless": True, "method": 0} if name == "WEBP" else {}))


@cache
def crowd() -> bytes:
    """A picture of a megapixel with dozens of faces."""
    return encoded(np.tile(portrait(128, 128), (8, 8, 1)), "JPEG")


def prepare() -> None:
    """Make the pictures before anything is measured."""
    crowd()
    for picture in LARGE:
        large(*picture)


async def use(target: Target, seen: Seen, until_s: float) -> None:
    """Do what is usual: a small picture again and again, and frames of a live session."""
    picture = encoded(portrait(320, 240), "JPEG")

    async def ask(http: httpx.AsyncClient) -> None:
        while time.monotonic() < until_s:
            started = time.monotonic()
            reply = await http.post("/align", content=picture, headers=target.other)
            if reply.status_code == 200:
                seen.requests_s.append(time.monotonic() - started)
            else:
                seen.refused[reply.status_code] += 1
            await asyncio.sleep(PAUSE_S)

    async def follow() -> None:
        address = f"ws://127.0.0.1:{target.service.port}/track/usual"
        async with connect(address, proxy=None, additional_headers=target.other) as socket:
            while time.monotonic() < until_s:
                await socket.send(picture)
                await socket.recv()
                seen.replies_s.append(time.monotonic())
                await asyncio.sleep(PAUSE_S)

    async def watch() -> None:
        while time.monotonic() < until_s:
            seen.peak_mb = max(seen.peak_mb, target.memory_mb())
            await asyncio.sleep(0.02)

    async with httpx.AsyncClient(base_url=target.base, timeout=60) as http:
        await asyncio.gather(ask(http), follow(), watch())


async def post_often(
    target: Target, path: str, bodies: list[bytes], at_once: int, **headers: str
) -> None:
    """Send bodies in turn, so many at once, until cancelled; refusals are waited out briefly."""
    async with aiohttp.ClientSession() as http:

        async def one(number: int) -> None:
            for turn in range(100_000):
                body = bodies[(number + turn) % len(bodies)]
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with http.post(
                        target.base + path, data=body, headers={**target.attacker, **headers}
                    ) as reply:
                        await reply.read()
                        target.answers[reply.status] += 1
                        if reply.status >= 400:
                            await asyncio.sleep(0.2)

        await asyncio.gather(*(one(number) for number in range(at_once)))


async def send_large_pictures(target: Target) -> None:
    """Fifty megapixels in few bytes, and ten beside them, as many at once as are taken."""
    bodies = [large(*picture) for picture in LARGE]
    await post_often(target, "/align?min_face_px=20", bodies, 16)


async def leave_large_pictures(target: Target) -> None:
    """The same, but nobody waits for the answer."""
    body = large(*LARGE[0])
    for _ in range(2000):
        with suppress(OSError):
            writer = await target.open()
            writer.write(
                f"POST /align HTTP/1.1\r\nHost: 127.0.0.1\r\n{target.head}"
                f"Content-Type: image/webp\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.transport.abort()


async def send_drawn_pictures(target: Target) -> None:
    """Large pictures of noise whose drawn copies are as large as they get."""
    noise = np.random.default_rng(0).integers(0, 255, (2400, 3000, 3), np.uint8)
    body = encoded(noise, "JPEG", quality=30)
    await post_often(target, "/align", [body], 16, Accept="image/png")


async def send_crowds(target: Target) -> None:
    """Pictures with as many faces as are looked for, and boxes in the rest."""
    boxes = json.dumps([[10, 10, 110, 110]] * 64).replace(" ", "")
    body = crowd()
    await asyncio.gather(
        post_often(target, "/align?min_face_px=20", [body], 8),
        post_often(target, f"/align?boxes={boxes}", [body], 8),
    )


def drip(writers: list[asyncio.StreamWriter], data: bytes) -> None:
    """Send a little more to each connection that is still there."""
    for writer in writers:
        if not writer.transport.is_closing():
            writer.write(data)


async def drip_uploads(target: Target) -> None:
    """Slow uploads of pictures and clips, as many as are taken."""
    writers = []
    for number in range(300):
        path = "/affect" if number % 4 == 0 else "/align"
        with suppress(OSError):
            writer = await target.open()
            start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{target.head}"
            writer.write(f"{start}Content-Length: 9000000\r\n\r\n".encode())
            writers.append(writer)
    for _ in range(1000):
        drip(writers, b"a" * 4096)
        await asyncio.sleep(0.5)


async def open_sessions(target: Target) -> None:
    """Sockets that never send a frame, each of another session."""
    for number in range(1100):
        address = f"ws://127.0.0.1:{target.service.port}/track/none{number}"
        with suppress(Exception):
            async with connect(address, proxy=None, additional_headers=target.attacker):
                pass


async def hold_connections(target: Target) -> None:
    """Connections without a key: silent, with half a head, dripping, and upgrades too large."""
    upgrade = (
        "GET /track/s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    starts = ["", "GET / HT", "GET / HTTP/1.1\r\n", f"{upgrade}X: {'a' * 9000}\r\n\r\n"]
    writers = []
    for number in range(1200):
        with suppress(OSError):
            writer = await target.open()
            writer.write(starts[number % len(starts)].encode())
            writers.append(writer)
    for _ in range(1000):
        drip(writers[2::4], b"X: a\r\n")
        await asyncio.sleep(0.5)


ATTACKS: dict[str, Callable[[Target], Awaitable[None]]] = {
    attack.__name__: attack
    for attack in (
        send_large_pictures,
        leave_large_pictures,
        send_drawn_pictures,
        send_crowds,
        drip_uploads,
        open_sessions,
        hold_connections,
    )
}


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Target]:
    """A service with two principals' keys, ready, until the end of the block."""
    (one, first), (other, second) = new_key("attacker"), new_key("other")
    keys = folder / "keys.toml"
    # The other asks more often than people do: what is measured is not the rate of its key.
    keys.write_text(first + second + "requests_per_minute = 100000\n")
    service = ServiceProcess({"COUNTENANCE_API_KEYS_FILE": str(keys)})
    bearers = ({"Authorization": f"Bearer {key}"} for key in (one, other))
    target = Target(service, *bearers)
    try:
        async with httpx.AsyncClient(base_url=target.base) as http:
            async with asyncio.timeout(PORT_ANSWERS_S):
                while not await _ready(http):
                    await asyncio.sleep(0.2)
        yield target
    finally:
        service.kill(signal.SIGKILL)


async def _ready(http: httpx.AsyncClient) -> bool:
    with suppress(httpx.TransportError):
        return (await http.get("/health/ready")).status_code == 200
    return False


async def measure(target: Target, attack: Callable[[Target], Awaitable[None]]) -> dict[str, object]:
    """Return what the other saw before and during an attack."""
    usual, under = Seen(), Seen()
    prepare()
    await use(target, usual, time.monotonic() + USUAL_S)
    before_mb = target.memory_mb()
    async with AsyncExitStack() as stack:
        attacking = asyncio.ensure_future(attack(target))
        stack.callback(attacking.cancel)
        await asyncio.sleep(0.5)
        await use(target, under, time.monotonic() + ATTACK_S)
    await asyncio.gather(attacking, return_exceptions=True)
    return {
        "usual_ms": round(usual.median_ms()),
        "under_ms": round(under.median_ms()),
        "times": round(under.median_ms() / usual.median_ms(), 2),
        "worst_ms": round(under.worst_ms()),
        "usual_hz": round(usual.rate_hz(USUAL_S), 1),
        "under_hz": round(under.rate_hz(ATTACK_S), 1),
        "refused": dict(under.refused),
        "grown_mb": round(under.peak_mb - before_mb),
        "attacker_was_answered": dict(target.answers),
    }


async def main(names: list[str]) -> None:
    """Try each attack on a service of its own and print a line of figures."""
    for name in names or list(ATTACKS):
        with tempfile.TemporaryDirectory() as folder:
            async with running(Path(folder)) as target:
                await use(target, Seen(), time.monotonic() + 2.0)
                figures = await measure(target, ATTACKS[name])
        sys.stdout.write(f"{name}: {json.dumps(figures)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
