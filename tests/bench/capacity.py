"""How many live sessions of 25 frames a second a deployment serves in time.

    python -m tests.bench.capacity [--arm embedded] [--clients 4] [--seconds 8] [--minutes 10]

Served in time is a 95th percentile under 50 ms with at most 1 % of the frames dropped. Sessions are
doubled until they are not, then the number between is looked for, until it is known to an eighth or
the minutes are over. They are spread over processes of clients, and over the time between two
frames. Each trial is in the JSON file as soon as it is over. Its `clients_late_ms` is how late the
clients sent, 95th percentile: a trial with more than 5 ms tells of the clients, and says so.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import torch

from handlers.torchserve.models import servable
from handlers.torchserve.starting import place
from tests.bench import arms, machine
from tests.bench.align import picture
from tests.bench.loads import Tally, closed_track, open_track
from tests.serving.deployment import ROOT

RATE_HZ, MOST_P95_MS, MOST_DROPPED = 25.0, 50.0, 0.01
MOST_LATE_MS = 5.0
WARM_S = 2.0
FINE = 1 / 8


@dataclass
class Search:
    """The largest number that is served: doubled, then looked for in the middle."""

    fits: int = 0
    fails: int | None = None

    def __iter__(self) -> Iterator[int]:
        while self.fails is None or self.fails - self.fits > max(1, int(self.fits * FINE)):
            yield max(1, self.fits * 2) if self.fails is None else (self.fits + self.fails) // 2

    def note(self, count: int, is_served: bool) -> None:
        """Take in whether so many sessions were served in time."""
        if is_served:
            self.fits = count
        else:
            self.fails = count


def sessions(live: str, image: bytes, numbers: range, begun_s: float, seconds: float) -> Tally:
    """Run some of the sessions in this process; what they saw after warming up."""
    tally, warming = Tally(), Tally()

    async def one(number: int) -> None:
        address, phase_s = f"{live}/c{numbers.stop}-{number}", number / numbers.stop / RATE_HZ
        await open_track(address, image, begun_s, warming, RATE_HZ, phase_s)
        await open_track(address, image, begun_s + seconds, tally, RATE_HZ, phase_s)

    async def together() -> None:
        await asyncio.gather(*map(one, numbers))

    asyncio.run(together())
    return tally


def trial(
    clients: Pool, processes: int, arm: arms.Arm, image: bytes, count: int, seconds: float
) -> dict[str, Any]:
    """The figures of so many sessions at once."""
    begun_s = time.perf_counter() + WARM_S  # the same clock in every process
    before = machine.cpu_s(arm.pids)
    shares = [range(first, count, processes) for first in range(min(processes, count))]
    asked = [(arm.service.live, image, share, begun_s, seconds) for share in shares]
    tally = Tally()
    for one in clients.starmap(sessions, asked, chunksize=1):
        tally.add(one)
    found = tally.summary(seconds, machine.cpu_s(arm.pids) - before)
    return {"sessions": count, **found, **judged(found, tally)}


def judged(found: dict[str, Any], tally: Tally) -> dict[str, Any]:
    """Whether these sessions were served in time, and whether their clients were."""
    late_ms = statistics.quantiles(tally.late_ms or [0.0, 0.0], n=20, method="inclusive")[18]
    lost = found["dropped"] + found["errors"]
    is_served = (
        found.get("p95_ms", MOST_P95_MS) < MOST_P95_MS and lost <= found["results"] * MOST_DROPPED
    )
    return {
        "is_served": is_served,
        "clients_late_ms": round(late_ms, 2),
        "clients_are_the_limit": not is_served and late_ms > MOST_LATE_MS,
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Look for the number until it is found or the time is over; write every trial at once."""
    ends_s = time.monotonic() + options.minutes * 60
    models = servable(options.model_store)
    placement = place(
        options.model_store, models, torch.cuda.device_count(), options.workers, options.threads
    )
    found: dict[str, Any] = {
        "command": " ".join(["python -m tests.bench.capacity", *sys.argv[1:]]),
        "machine": machine.describe(placement.threads),
        "workers": placement.workers,
        "trials": [],
    }
    image, _ = picture()
    search = Search()
    spawning = get_context("spawn")
    ready = spawning.Barrier(options.clients + 1)
    with (
        arms.ARMS[options.arm](options.model_store, placement.threads, options.workers) as arm,
        spawning.Pool(options.clients, initializer=ready.wait) as clients,
    ):
        ready.wait()
        warm_s = time.perf_counter() + WARM_S
        asyncio.run(closed_track(f"{arm.service.live}/warm", image, warm_s, Tally()))
        for count in search:
            if time.monotonic() + 2 * (WARM_S + options.seconds) > ends_s:
                break
            tried = trial(clients, options.clients, arm, image, count, options.seconds)
            search.note(count, tried["is_served"])
            found["trials"].append(tried)
            found["sessions_at_25_hz"] = search.fits
            options.out.write_text(json.dumps(found, indent=2) + "\n")
            print(json.dumps({key: tried.get(key) for key in SHOWN}), flush=True)
    return found


SHOWN = ("sessions", "is_served", "p95_ms", "per_second", "dropped", "clients_late_ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", choices=("torchserve", "embedded"), default="torchserve")
    parser.add_argument("--clients", type=int, default=4, help="processes of clients")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each trial")
    parser.add_argument("--minutes", type=float, default=10.0, help="of all")
    parser.add_argument("--threads", type=int, help="of each worker; default its share of cores")
    parser.add_argument("--workers", type=int, help="of each model; default as served")
    parser.add_argument("--model-store", type=Path, default=ROOT / "model_store")
    parser.add_argument("--out", type=Path, default=ROOT / "tests/bench/results/capacity.json")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    print(f"sessions at 25 frames a second: {run(options).get('sessions_at_25_hz')}")


if __name__ == "__main__":
    main()
