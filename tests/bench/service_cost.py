"""What a frame costs the service itself, before a worker that answers at once.

    python -m tests.bench.service_cost [--sessions 8] [--frames 2000]

The worker repeats one answer of the tracker; sessions are kept by a real Redis. What counts is the
processor time of the service's process, which other work on the machine hardly changes.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgpack
from websockets.asyncio.client import connect

from handlers.torchserve.models import face_row
from handlers.track import TrackHandler
from handlers.wire import unpack
from tests.bench import machine
from tests.bench.align import picture
from tests.bench.loads import HEADER
from tests.service.redis_server import RedisServer
from tests.serving.deployment import ROOT, ServiceProcess
from tests.serving.workers import FakeWorker, answered

WARM_FRAMES = 20


class RepeatingWorker(FakeWorker):
    """Gives every row the same answer."""

    def __init__(self, path: Path, reply: bytes) -> None:
        super().__init__(path)
        self._reply = reply

    def _echo(self, row: bytes) -> bytes:
        return self._reply


def real_reply() -> tuple[bytes, bytes]:
    """The tracker's answer to the second frame of a session, and that frame."""
    frame, _ = picture()
    handler, state = TrackHandler(ROOT / "model_store"), None
    for step in range(2):
        row = unpack(face_row("track", step, state))
        row["inputs"]["image"] = frame
        reply = unpack(handler.handle([bytes(msgpack.packb(row))])[0])
        state = reply["state"]
    return answered(reply["outputs"], state), frame


def work(path: str, reply: bytes) -> None:
    """Be the worker, in a process of its own."""

    async def forever() -> None:
        await RepeatingWorker(Path(path), reply).start()
        await asyncio.Event().wait()

    asyncio.run(forever())


async def session(address: str, frame: bytes, frames: int) -> int:
    """Send frames one after the other; how many had a result."""
    results = 0
    async with connect(address, proxy=None, compression=None, ping_interval=None) as socket:
        for number in range(frames):
            await socket.send(HEADER.pack(b"F", float(number)) + frame)
            results += json.loads(await socket.recv())["status"] == "tracking"
    return results


async def crowd(service: ServiceProcess, frame: bytes, sessions: int, frames: int) -> int:
    """Sessions at once; how many frames had a result."""
    asked = (session(f"{service.live}/c{n}", frame, frames // sessions) for n in range(sessions))
    return sum(await asyncio.gather(*asked))


def drive(
    service: ServiceProcess, redis: RedisServer, given: argparse.Namespace, frame: bytes
) -> Any:
    """Warm the service up, then measure it."""
    service.wait_until_ready()
    asyncio.run(crowd(service, frame, given.sessions, given.sessions * WARM_FRAMES))
    pids = {"service": [service.process.pid], "redis": [redis.pid]}
    before = {name: machine.cpu_s(one) for name, one in pids.items()}
    results = asyncio.run(crowd(service, frame, given.sessions, given.frames))
    found = {name: machine.cpu_s(one) - before[name] for name, one in pids.items()}
    return {
        "command": " ".join(["python -m tests.bench.service_cost", *sys.argv[1:]]),
        "frames": results,
        "frame_bytes": len(frame),
        **{f"{name}_ms_each": round(s * 1000 / results, 3) for name, s in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="a file for what is printed")
    given = parser.parse_args()
    reply, frame = real_reply()
    redis = RedisServer()
    worker = None
    try:
        with tempfile.TemporaryDirectory(prefix="cnt-") as run:
            path = f"{run}/worker.sock"
            worker = get_context("spawn").Process(target=work, args=(path, reply), daemon=True)
            worker.start()
            settings = {"COUNTENANCE_INFERENCE": f"unix:{path}"}
            settings |= {"COUNTENANCE_REDIS_URL": redis.url, "COUNTENANCE_MAX_FRAMES_PER_S": "1000"}
            service = ServiceProcess(settings)
            try:
                text = json.dumps(drive(service, redis, given, frame), indent=2) + "\n"
                if given.out:
                    given.out.write_text(text)
                print(text)
            finally:
                service.process.terminate()
                service.process.wait(60)
    finally:
        redis.close()
        if worker is not None:
            worker.terminate()


if __name__ == "__main__":
    main()
