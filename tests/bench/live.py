"""How many live sessions are served how fast, with the networks inside and behind TorchServe.

    python -m tests.bench.live [--sessions 1,2,4,8,16,32,64] [--seconds 10]

Closed loops send the next frame when the last is answered; open loops send at a fixed rate. Both
arms run one after the other with the same weights, threads and pictures (640 x 480, one face), each
with a Redis of its own; the bare predictor steps batches in this process, with the threads of a
worker, and where it is the yardstick of a whole deployment, with all cores too: the better counts.
"""

import argparse
import asyncio
import io
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from websockets.asyncio.client import connect

from handlers.torchserve.models import servable
from handlers.torchserve.starting import place
from handlers.track import TrackHandler
from handlers.wire import pack, unpack
from tests.bench import arms, machine, tables
from tests.bench.align import picture
from tests.bench.loads import Tally, closed_align, closed_track, open_track
from tests.serving.deployment import ROOT

OPEN_HZ = 5.0
WARM_S = 2.0
IDLE_SESSIONS, IDLE_PX = 100, 160
SHARED, TURNS = 16, 5
Load = Callable[[float, Tally], Coroutine[Any, Any, None]]


async def measure(arm: arms.Arm, loads: list[Load], seconds: float) -> dict[str, Any]:
    """Run all loads at once: a short while to warm up, then for the time that counts."""
    await asyncio.gather(*(load(time.perf_counter() + WARM_S, Tally()) for load in loads))
    tally, before, started = Tally(), machine.cpu_s(arm.pids), time.perf_counter()
    await asyncio.gather(*(load(started + seconds, tally) for load in loads))
    return tally.summary(time.perf_counter() - started, machine.cpu_s(arm.pids) - before)


def sessions(arm: arms.Arm, image: bytes, count: int, rate_hz: float | None = None) -> list[Load]:
    """So many tracked sessions, in closed loops or each at a rate."""
    addresses = [f"{arm.service.live}/b{n}" for n in range(count)]
    if rate_hz is None:
        return [partial(closed_track, address, image) for address in addresses]
    return [partial(open_track, address, image, rate_hz=rate_hz) for address in addresses]


def mix(arm: arms.Arm, image: bytes, models: list[str]) -> list[Load]:
    """Four tracked sessions, two of affect where it is served, and a client of photographs."""
    loads = sessions(arm, image, 4)
    if "affect" in models:
        affect = arm.service.live.replace("/track", "/affect")
        loads += [partial(closed_track, f"{affect}/b{n}", image) for n in range(2)]
    return [*loads, partial(closed_align, f"{arm.service.base}/align", image)]


async def run_arm(arm: arms.Arm, image: bytes, options: argparse.Namespace) -> dict[str, Any]:
    """All loads of one arm."""
    closed, opened = {}, {}
    for count in options.sessions:
        closed[count] = await measure(arm, sessions(arm, image, count), options.seconds)
        opened[count] = await measure(arm, sessions(arm, image, count, OPEN_HZ), options.seconds)
        print(arm.name, count, closed[count], file=sys.stderr)
    mixed = await measure(arm, mix(arm, image, servable(options.model_store)), options.seconds)
    return {
        "cold_start_s": round(arm.cold_start_s, 1),
        "closed": closed,
        f"open_{OPEN_HZ:g}_hz": opened,
        "mix": mixed,
        "idle_session_kib": await idle_kib(arm) if arm.name == "torchserve" else None,
    }


async def in_turn(
    inside: arms.Arm, behind: arms.Arm, image: bytes, options: argparse.Namespace
) -> dict[str, list[float]]:
    """What is compared, measured in turn: the machine is faster at one minute than at another.

    `added_ms` is the median of one session behind TorchServe less that of one embedded;
    `shares_of_bare` are frames a second of 16 sessions behind TorchServe over those of the bare
    predictor, with as many threads as it is fastest with.
    """
    added, shares = [], []
    threads = {torch.get_num_threads(), len(os.sched_getaffinity(0))}
    for _ in range(TURNS):
        lone = [
            await measure(arm, sessions(arm, image, 1), options.seconds) for arm in (inside, behind)
        ]
        added.append(round(lone[1]["p50_ms"] - lone[0]["p50_ms"], 2))
        alone = [fastest(options, image, number) for number in threads]
        shared = await measure(behind, sessions(behind, image, SHARED), options.seconds)
        shares.append(round(shared["per_second"] / max(alone), 3))
    return {"added_ms": added, "shares_of_bare": shares}


async def idle_kib(arm: arms.Arm) -> float:
    """Resident memory of the service process for each session that has had a frame and waits."""
    image = face(IDLE_PX)

    async def open_sockets(prefix: str) -> list[Any]:
        sockets = []
        for n in range(IDLE_SESSIONS):
            address = f"{arm.service.live}/{prefix}{n}"
            socket = await connect(address, proxy=None, compression=None, ping_interval=None)
            await socket.send(image)
            await socket.recv()
            sockets.append(socket)
        return sockets

    held = await open_sockets("first")
    before = arm.service.memory_mb()
    held += await open_sockets("second")
    grown = arm.service.memory_mb() - before
    await asyncio.gather(*(socket.close() for socket in held))
    return round(grown * 1e6 / 1024 / IDLE_SESSIONS, 1)


def face(side_px: int) -> bytes:
    """A small picture that one face fills."""
    data = io.BytesIO()
    portrait = Image.open(ROOT / "tests/assets/astronaut.jpg").resize((side_px, side_px))
    portrait.save(data, "JPEG")
    return data.getvalue()


def fastest(options: argparse.Namespace, image: bytes, threads: int) -> float:
    """The bare predictor's rate for the sessions that share a batch, with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return bare(options.model_store, image, [SHARED], options.seconds)[SHARED]
    finally:
        torch.set_num_threads(before)


def bare(store: Path, image: bytes, counts: list[int], seconds: float) -> dict[int, float]:
    """Frames a second of the handler alone, by how many sessions share a batch."""
    handler, found = TrackHandler(store, "cuda" if torch.cuda.is_available() else "cpu"), {}
    for count in counts:
        states = _step(handler, image, [None] * count)  # the first step detects; it does not count
        frames, started = 0, time.perf_counter()
        while frames == 0 or time.perf_counter() - started < seconds:
            states = _step(handler, image, states)
            frames += count
        found[count] = round(frames / (time.perf_counter() - started), 2)
    return found


def _step(
    handler: TrackHandler, image: bytes, states: Sequence[bytes | None]
) -> list[bytes | None]:
    """One batch of the same frame for sessions of these states; their next states."""
    rows = []
    for state in states:
        row: dict[str, Any] = {"inputs": {"image": image, "time_s": 0.0}, "options": {}}
        rows.append(pack(row if state is None else {**row, "state": state}))
    return [unpack(reply)["state"] for reply in handler.handle(rows)]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The bare predictor, then both arms."""
    image, _ = picture()
    gpus = torch.cuda.device_count()
    placement = place(
        options.model_store, servable(options.model_store), gpus, options.workers, options.threads
    )
    threads = placement.threads
    torch.set_num_threads(threads)
    result: dict[str, Any] = {
        "command": " ".join(["python -m tests.bench.live", *sys.argv[1:]]),
        "machine": machine.describe(threads),
        "workers": placement.workers,
        "bare_per_second": bare(options.model_store, image, options.sessions, options.seconds),
    }
    with (
        arms.torchserve(options.model_store, threads, options.workers) as behind,
        arms.embedded(options.model_store, threads) as inside,
    ):
        result["in_turn"] = asyncio.run(in_turn(inside, behind, image, options))
        result["embedded"] = asyncio.run(run_arm(inside, image, options))
        result["torchserve"] = asyncio.run(run_arm(behind, image, options))
    return {**result, "bars": tables.bars(result)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    counts = [1, 2, 4, 8, 16, 32, 64]
    parser.add_argument("--sessions", type=lambda text: [int(n) for n in text.split(",")])
    parser.set_defaults(sessions=counts)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, help="of each worker; default its share of cores")
    parser.add_argument("--workers", type=int, help="of each model; default as served")
    parser.add_argument("--model-store", type=Path, default=ROOT / "model_store")
    parser.add_argument("--out", type=Path, default=ROOT / "tests/bench/results/live.json")
    options = parser.parse_args()
    result = run(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    table = tables.render(result)
    options.out.with_suffix(".md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
