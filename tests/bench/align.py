"""How long `POST /align` takes beside the bare predictor, and what memory it keeps.

    python -m tests.bench.align [--requests 2000] [--out tests/bench/results/align.json]

One face in a 640 x 480 JPEG, the embedded service over loopback, the same weights called directly
on the decoded picture in turn with the requests, so that both meet the same noise of the machine.
A 1024 x 1024 matrix product is the yardstick for other machines.
"""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from PIL import Image

from handlers.predictors.alignment import LOOKS_AT_DETECTED
from handlers.store import load_aligner, load_detector
from service.inference.loading import bound_threads
from service.settings import load_settings

ROOT = Path(__file__).parents[2]
PORT = 8973
SETTLED = 500  # requests after which memory should grow no more


def picture() -> tuple[bytes, np.ndarray]:
    """The astronaut in 640 x 480: the JPEG, and its pixels as they are decoded from it."""
    portrait = Image.open(ROOT / "tests/assets/astronaut.jpg").resize((480, 480))
    canvas = Image.new("RGB", (640, 480), (90, 90, 90))
    canvas.paste(portrait, (80, 0))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=90)
    return buffer.getvalue(), np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))


@contextmanager
def service() -> Iterator[tuple[httpx.Client, int]]:
    """A service of its own process; its client and process id."""
    environment = {**os.environ, "COUNTENANCE_PORT": str(PORT), "COUNTENANCE_LOG_LEVEL": "warning"}
    process = subprocess.Popen([sys.executable, "-m", "service"], cwd=ROOT, env=environment)
    client = httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60)
    try:
        wait_until_ready(client, process)
        yield client, process.pid
    finally:
        client.close()
        process.terminate()
        process.wait()


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    """Return when the service answers; raises RuntimeError when it ends or takes two minutes."""
    for _ in range(240):
        if process.poll() is not None:
            raise RuntimeError("the service ended before it was ready")
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise RuntimeError("the service was not ready within two minutes")


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB, from /proc."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def milliseconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def bare_predictor(store: Path) -> Callable[[np.ndarray], object]:
    """Detection and alignment of a decoded picture, without service, wire or drawing."""
    detector, aligner = load_detector(store), load_aligner(store, "dfa").predictor

    def predict(pixels: np.ndarray) -> object:
        found = detector.detect([pixels])[0]
        boxes = np.asarray([face.landmark_box for face in found], np.float32).reshape(-1, 4)
        return aligner.align([pixels], [boxes], looks=LOOKS_AT_DETECTED)

    return predict


def run(requests: int, pairs: int, store: Path) -> dict[str, Any]:
    """Time request and bare predictor in turn, then send the rest and watch the memory."""
    bound_threads(load_settings().threads)  # as the service does
    jpeg, pixels = picture()
    predict = bare_predictor(store)
    matrix = torch.rand(1024, 1024)
    with service() as (client, pid):

        def ask() -> None:
            reply = client.post("/align", content=jpeg, headers={"Content-Type": "image/jpeg"})
            assert len(reply.raise_for_status().json()["faces"]) == 1

        for _ in range(10):
            ask()
            predict(pixels)
        works = (ask, lambda: predict(pixels), lambda: matrix @ matrix)
        times = [tuple(milliseconds(work) for work in works) for _ in range(pairs)]
        memory = {}
        for sent in range(10 + pairs, requests + 1):
            ask()
            if sent in (SETTLED, requests):
                memory[f"after_{sent}_mb"] = round(resident_mb(pid))
    request, bare, yardstick = (statistics.median(column) for column in zip(*times, strict=True))
    return {
        "command": " ".join(["python -m tests.bench.align", *sys.argv[1:]]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "request_ms": round(request, 1),
        "request_p95_ms": round(statistics.quantiles([t[0] for t in times], n=20)[-1], 1),
        "bare_predictor_ms": round(bare, 1),
        "ratio": round(statistics.median(t[0] / t[1] for t in times), 2),
        "yardstick_matmul_ms": round(yardstick, 1),
        "resident": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--model-store", type=Path, default=ROOT / "model_store")
    parser.add_argument("--out", type=Path, default=ROOT / "tests/bench/results/align.json")
    options = parser.parse_args()
    result = run(options.requests, options.pairs, options.model_store)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
