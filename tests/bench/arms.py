"""What is compared: the service with the networks inside, and with TorchServe behind it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.service.redis_server import RedisServer
from tests.serving.deployment import ROOT, ServiceProcess


@dataclass(frozen=True)
class Arm:
    """A service that answers; `pids` are all that compute for it, below them their children."""

    name: str
    service: ServiceProcess
    pids: list[int]
    cold_start_s: float


@contextmanager
def embedded(store: Path, threads: int, workers: int | None = None) -> Iterator[Arm]:
    """The default: one process, which has no workers."""
    with _redis() as redis:
        started = time.monotonic()
        service = _service(redis, threads, COUNTENANCE_MODEL_STORE=str(store))
        with _stopped(service.process):
            service.wait_until_ready()
            pids = [service.process.pid, redis.pid]
            yield Arm("embedded", service, pids, time.monotonic() - started)


@contextmanager
def torchserve(store: Path, threads: int, workers: int | None = None) -> Iterator[Arm]:
    """As compose has it, but for the containers: one service before one TorchServe."""
    run = Path(tempfile.mkdtemp(prefix="cnt-"))
    address = f"unix:{run}/inference.sock"
    command = [sys.executable, "-m", "handlers.torchserve", "serve", "--run", str(run)]
    command += ["--model-store", str(store), "--address", address, "--threads", str(threads)]
    command += [] if workers is None else ["--workers", str(workers)]
    with _redis() as redis:
        started = time.monotonic()
        models = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        with _stopped(models):
            service = _service(redis, threads, COUNTENANCE_INFERENCE=address)
            with _stopped(service.process):
                service.wait_until_ready()
                pids = [service.process.pid, models.pid, redis.pid]
                yield Arm("torchserve", service, pids, time.monotonic() - started)
    shutil.rmtree(run, ignore_errors=True)


ARMS = {"torchserve": torchserve, "embedded": embedded}


def _service(redis: RedisServer, threads: int, **settings: str) -> ServiceProcess:
    return ServiceProcess(
        {
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
            "COUNTENANCE_REDIS_URL": redis.url,
            "COUNTENANCE_MAX_SOCKETS": "5000",
            "COUNTENANCE_SOCKET_IDLE_S": "600",
            "COUNTENANCE_MAX_FRAMES_PER_S": "10000",
            **settings,
        }
    )


@contextmanager
def _redis() -> Iterator[RedisServer]:
    redis = RedisServer()
    try:
        yield redis
    finally:
        redis.close()


@contextmanager
def _stopped(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
