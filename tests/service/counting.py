"""A model of sessions that only counts: its state tells whether every frame came, and in order."""

import asyncio
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from service.align.interface import EXAMPLE_MODEL
from service.errors import refusal
from service.inference import Answer, Question, Readiness
from service.schemas import POINTS
from service.server import make_server
from service.settings import Settings
from tests.service.fake_inference import FakeInference
from tests.waiting import MOST_S, until

STATE = struct.Struct("<4sIIQ")
MAGIC = b"cnt1"
HEADER = struct.Struct("<cd")
TRACK = "track"


class CountingTracker(FakeInference):
    """The state is how many steps there were and a checksum of all frames, in their order.

    `delay_s` is how long a step takes, `gate` what a step waits for once it has begun; `notes` and
    `padding` make replies and states as large as a test needs them.
    """

    def __init__(self, magic: bytes = MAGIC, delay_s: float = 0.0) -> None:
        super().__init__()
        self.magic = magic
        self.delay_s = delay_s
        self.gate: asyncio.Event | None = None
        self.models: tuple[str, ...] = ("align", TRACK)
        self.notes: list[str] = []
        self.padding = b""
        self.last: Question | None = None
        self.steps = 0

    async def readiness(self) -> Readiness:
        reason = None if self.ready else "still loading"
        return Readiness(self.ready, "cpu", self.models, reason)

    async def describe(self, model: str | None = None) -> list[dict[str, Any]]:
        if model != TRACK:
            return await super().describe(model)
        return [{**EXAMPLE_MODEL, "name": TRACK, "variants": ["crt", "dcrt"]}]

    async def ask(self, model: str, question: Question) -> Answer:
        if model != TRACK:
            return await super().ask(model, question)
        self.last = question
        self.steps += 1
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        if seen_bytes(question).endswith(b"CUT"):
            raise refusal("truncated-image", "the picture is cut short")
        return self._count(question)

    def _count(self, question: Question) -> Answer:
        magic, step, checksum, _ = STATE.unpack_from(question.state or STATE.pack(b"", 0, 0, 0))
        reset = question.state is not None and magic != self.magic
        if reset:
            step, checksum = 0, 0
        seen = seen_bytes(question) + struct.pack("<d", question.inputs["time_s"])
        step, checksum = step + 1, zlib.crc32(seen, checksum)
        state = STATE.pack(self.magic, step, checksum, 0) + self.padding
        return Answer({**outputs(step, checksum, reset), "notes": self.notes}, state)


def seen_bytes(question: Question) -> bytes:
    """Return the bytes of the picture, encoded or raw."""
    image = question.inputs["image"]
    return bytes(image["data"] if isinstance(image, dict) else image)


def outputs(step: int, checksum: int, reset: bool = False) -> dict[str, Any]:
    """Return what the model says: one face whose box is made of the count and the checksum."""
    x, y = float(checksum & 0xFFFF), float(checksum >> 16)
    face = {
        "track_id": 1,
        "status": "tracking",
        "box": [x, y, x + step, y + 1.0],
        "landmarks": [[x, y]] * POINTS,
        "face_probability": 0.5,
        "lost_probability": None,
        "degradation": None,
    }
    return {
        "model": {"name": TRACK, "version": "1", "sha256": 64 * "0"},
        "image": {"width": 64, "height": 48},
        "variant": "dcrt",
        "steady": True,
        "smoothing": False,
        "status": "reset" if reset else "tracking",
        "step": step,
        "faces": [face],
        "notes": [],
        "timings_ms": {"track": 1.0},
    }


def expected_boxes(frames: Sequence[tuple[bytes, float]]) -> list[list[float]]:
    """Return the box of every step of one undisturbed session that sees these frames."""
    boxes, checksum = [], 0
    for step, (image, time_s) in enumerate(frames, start=1):
        checksum = zlib.crc32(image + struct.pack("<d", time_s), checksum)
        boxes.append(outputs(step, checksum)["faces"][0]["box"])
    return boxes


def box(reply: dict[str, Any]) -> list[float]:
    """Return the box of the reply's one face."""
    (face,) = reply["faces"]
    return list(face["box"])


def frames(count: int) -> list[tuple[bytes, float]]:
    """Return small pictures, all different, with their times."""
    found = []
    for number in range(count):
        data = io.BytesIO()
        Image.new("RGB", (64 + number, 48)).save(data, "JPEG")
        found.append((data.getvalue(), number / 25))
    return found


def headed(image: bytes, time_s: float) -> bytes:
    """Return a frame's message with its time."""
    return HEADER.pack(b"F", time_s) + image


@asynccontextmanager
async def serving(tracker: FakeInference, **options: Any) -> AsyncIterator["Service"]:
    """Run a real server on a free port until the end of the block."""
    server = make_server(Settings(port=0, **options), tracker)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started or running.done())
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=MOST_S) as http:
        try:
            yield Service(server, port, http)
        finally:
            server.should_exit = True
            await running


class Service:
    """A running server as its clients see it."""

    def __init__(self, server: uvicorn.Server, port: int, http: httpx.AsyncClient) -> None:
        self.server = server
        self.port = port
        self.http = http
        self.model = TRACK

    @property
    def models(self) -> Any:
        """The models behind the service."""
        return self.server._services.inference

    @property
    def streams(self) -> list[Any]:
        """The live sessions that run."""
        return [stop.__self__ for stop in self.server._services.sockets._stops]

    async def read(self, frames: int = 0, until_s: float = 0.0) -> None:
        """Return once a session has read so many frames, and sound up to a time.

        A client cannot see that: messages get no reply before it is their turn.
        """

        def is_read() -> bool:
            return any(
                stream._received >= frames
                and (not until_s or stream._subject._clock.come_s >= until_s - 0.001)
                for stream in self.streams
            )

        await until(is_read)

    async def has_closed_all(self) -> bool:
        """Whether no socket is open."""
        return not await self.metric(f'countenance_sockets{{model="{self.model}"}}')

    async def has_no_clips(self) -> bool:
        """Whether no clip is at work."""
        return not await self.metric("countenance_clips")

    def open(self, session: str = "s", query: str = "", **options: Any) -> connect:
        """Return a socket to a session, to be awaited or entered."""
        address = f"ws://127.0.0.1:{self.port}/{self.model}/{session}{query}"
        return connect(address, proxy=None, compression=None, **options)

    async def post(self, image: bytes, session: str = "s", **query: Any) -> httpx.Response:
        """Send one frame without a socket."""
        return await self.http.post(f"/track/{session}", content=image, params=query)

    async def metric(self, line: str) -> float:
        """Return the value of a line of /metrics, 0 where there is none."""
        for found in (await self.http.get("/metrics")).text.splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        return 0.0


async def step(socket: ClientConnection, message: bytes | str) -> dict[str, Any]:
    """Send one message and return the next reply."""
    await socket.send(message)
    return await receive(socket)


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Wait until the service closes the socket; return its code and reason."""
    try:
        while True:
            await asyncio.wait_for(socket.recv(), MOST_S)
    except ConnectionClosed:
        return socket.close_code, socket.close_reason


async def receive(socket: ClientConnection) -> dict[str, Any]:
    """Return the next reply; fails where none comes for a while."""
    return dict(json.loads(await asyncio.wait_for(socket.recv(), MOST_S)))
