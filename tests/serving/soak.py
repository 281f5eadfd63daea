"""Half an hour of mixed load on a real deployment of this machine: does anything grow?

    python -m tests.serving.soak [--minutes 30]

Sessions come, live a while and go, some of them without a word; photographs, clips and single
frames are posted. Memory, descriptors, processes and Redis' keys are looked at after every round.
All traffic stays on the loopback interface.
"""

import argparse
import asyncio
import io
import json
import random
import statistics
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.service.clip_files import write_clip
from tests.serving.crowd import PICTURE
from tests.serving.deployment import ROOT, Deployment
from tests.serving.stores import SHIPPED

CLIENTS, NAMES = 12, 40
FRAMES, PAUSE_S = 20, 0.05
HEADER = struct.Struct("<cd")
PORTRAIT, SIDE_PX = ROOT / "tests" / "assets" / "astronaut.jpg", 160
MEMORY_SHARE, MEMORY_MB = 0.05, 12.0
SPARE_DESCRIPTORS, SPARE_PROCESSES = 12, 1


@dataclass(frozen=True)
class Look:
    """What there was of everything at one moment."""

    seconds: float
    service_mb: float
    models_mb: float
    descriptors: int
    processes: int
    keys: int


@dataclass(frozen=True)
class Sent:
    """What clients send: a picture, and where photographs and affect are served, a clip."""

    picture: bytes
    clip: bytes | None = None


COUNTED = Sent(PICTURE)


async def mixed(deployment: Deployment, sent: Sent, until_s: float, chance: random.Random) -> int:
    """One client that does this and that; returns how many answers it got."""
    answers = 0
    async with httpx.AsyncClient(timeout=120) as http:
        while time.monotonic() < until_s:
            service = chance.choice(deployment.services)
            model = "track" if sent.clip is None else chance.choice(("track", "affect"))
            name, kind = f"k{chance.randrange(NAMES)}", chance.random()
            if kind < 0.2:
                answers += await step(http, f"{service.base}/track/{name}", sent)
            elif kind < 0.3:
                await http.delete(f"{service.base}/{model}/{name}")
            elif sent.clip is not None and kind < 0.4:
                answers += await step(http, f"{service.base}/align", sent)
            elif sent.clip is not None and kind < 0.45:
                answers += await whole(http, f"{service.base}/affect", sent.clip)
            else:
                address = f"{service.live.removesuffix('track')}{model}/{name}"
                answers += await live(address, sent, chance.random() < 0.2)
    return answers


async def step(http: httpx.AsyncClient, address: str, sent: Sent) -> int:
    """Post a picture; of two at once in a session one may be too late, and Redis too."""
    reply = await http.post(address, content=sent.picture)
    assert reply.status_code in (200, 409, 503), reply.text
    return 1


async def whole(http: httpx.AsyncClient, address: str, clip: bytes) -> int:
    """Post a clip; there may be too many at work."""
    reply = await http.post(address, content=clip, headers={"Content-Type": "video/mp4"})
    assert reply.status_code in (200, 503), reply.text
    return 1


async def live(address: str, sent: Sent, leaves: bool) -> int:
    """A session for some frames; who leaves does so with a frame unanswered.

    Another client may take the session over, which closes the socket.
    """
    with suppress(ConnectionClosed):
        return await _frames(address, sent.picture, leaves)
    return 0


async def _frames(address: str, picture: bytes, leaves: bool) -> int:
    answers = 0
    async with connect(address, proxy=None, compression=None, ping_interval=None) as socket:
        for _ in range(FRAMES):
            await socket.send(HEADER.pack(b"F", time.monotonic()) + picture)
            if leaves and answers > FRAMES // 2:
                return answers
            reply = json.loads(await asyncio.wait_for(socket.recv(), 60))
            answers += 1
            if reply["status"] == "error":
                return answers
            await asyncio.sleep(PAUSE_S)
    return answers


def look(deployment: Deployment, began_s: float) -> Look:
    """Count everything now."""
    services = [psutil.Process(service.process.pid) for service in deployment.services]
    java = psutil.Process(deployment.models.java)
    models = [java, *java.children(recursive=True)]
    return Look(
        round(time.monotonic() - began_s, 1),
        round(sum(process.memory_info().rss for process in services) / 1e6, 1),
        round(sum(process.memory_info().rss for process in models) / 1e6, 1),
        sum(process.num_fds() for process in (*services, *models)),
        len(models) + sum(1 + len(process.children(recursive=True)) for process in services),
        int(str(deployment.redis.ask("DBSIZE"))),
    )


async def soak(
    deployment: Deployment, seconds: float, rounds: int = 6, sent: Sent = COUNTED
) -> list[Look]:
    """Load in rounds, with a look after each; at least one answer comes in each."""
    looks, began_s, chance = [], time.monotonic(), random.Random(0)
    for _ in range(rounds):
        until_s = time.monotonic() + seconds / rounds
        clients = (
            mixed(deployment, sent, until_s, random.Random(chance.random())) for _ in range(CLIENTS)
        )
        answers = await asyncio.gather(*clients)
        assert all(answers), "a client got no answer in a whole round"
        await asyncio.sleep(1.0)
        looks.append(look(deployment, began_s))
        print(looks[-1], file=sys.stderr)
    return looks


def grown(looks: Sequence[Look], most_keys: int = NAMES) -> list[str]:
    """What is more at the end than after the second round, by more than chance."""
    early, late = looks[1], looks[-1]
    found = []
    for name in ("service_mb", "models_mb"):
        before, after = getattr(early, name), statistics.median(_of(looks[-2:], name))
        if after - before > max(MEMORY_MB, before * MEMORY_SHARE):
            found.append(f"{name}: {before} -> {after}")
    if late.descriptors > early.descriptors + SPARE_DESCRIPTORS:
        found.append(f"descriptors: {early.descriptors} -> {late.descriptors}")
    if late.processes > early.processes + SPARE_PROCESSES:
        found.append(f"processes: {early.processes} -> {late.processes}")
    if late.keys > most_keys:
        found.append(f"keys: {late.keys} for {most_keys} names")
    return found


def portrait(folder: Path) -> Sent:
    """A face as a picture, and as a clip of a second with a tone."""
    with Image.open(PORTRAIT) as opened:
        face = opened.convert("RGB").resize((SIDE_PX, SIDE_PX))
    data = io.BytesIO()
    face.save(data, "JPEG")
    pixels, size = np.asarray(face), (SIDE_PX, SIDE_PX)
    clip = write_clip(folder / "soak.mp4", size=size, draw=lambda number, _: pixels)
    return Sent(data.getvalue(), clip.read_bytes())


def _of(looks: Sequence[Look], name: str) -> list[float]:
    return [float(getattr(one, name)) for one in looks]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    deployment = Deployment(SHIPPED)
    try:
        deployment.mend()
        looks = asyncio.run(soak(deployment, options.minutes * 60, 12, portrait(deployment.run)))
    finally:
        deployment.close()
    more = grown(looks, most_keys=2 * NAMES)  # of track and of affect
    print(json.dumps({"looks": [asdict(one) for one in looks], "grown": more}, indent=2))
    return 1 if more else 0


if __name__ == "__main__":
    raise SystemExit(main())
