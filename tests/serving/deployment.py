"""What production runs, on this machine: a watched TorchServe, a Redis, two service processes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import psutil

from handlers.torchserve.starting import Server, start
from handlers.torchserve.watching import Pace, keep_running, ping
from tests.service.redis_server import RedisServer
from tests.serving.servers import ProbeServer, wait_until

ROOT = Path(__file__).parents[2]
SHIM = """from tests.serving.counting_model import CountingAdaptor


class Model(CountingAdaptor):
    pass
"""


class WatchedModels:
    """TorchServe with two workers of the counting model, started again whenever it dies."""

    def __init__(self, run: Path, workers: int = 2) -> None:
        self.probe = ProbeServer.make(run, workers, SHIM)
        self.workers = workers
        self._stopping = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()

    @property
    def address(self) -> str:
        return self.probe.address

    @property
    def java(self) -> int:
        """The process id of the Java that runs now."""
        assert self.probe.process is not None
        return self.probe.process.pid

    def worker_pids(self) -> list[int]:
        return self.probe.worker_pids()

    def wait_until_up(self) -> None:
        wait_until(lambda: len(self.worker_pids()) >= self.workers)

    def close(self) -> None:
        self._stopping.set()
        self._watching.join()

    def _watch(self) -> None:
        starting = partial(self._start, self.probe.server)
        keep_running(starting, partial(ping, self.address, 5.0), self._stopping, Pace())

    def _start(self, server: Server) -> "subprocess.Popen[bytes]":
        self.probe.process = start(server)
        return self.probe.process


class ModelsProcess:
    """`python -m handlers.torchserve serve` with a store of its own, on a unix socket.

    Its own metrics are at `metrics`, like `http://127.0.0.1:9000`, where that is given.
    """

    def __init__(self, run: Path, store: Path, metrics: str | None = None) -> None:
        self.address = f"unix:{run}/inference.sock"
        command = [sys.executable, "-m", "handlers.torchserve", "serve", "--run", str(run)]
        command += ["--model-store", str(store), "--address", self.address, "--device", "cpu"]
        command += [] if metrics is None else ["--metrics", metrics]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    @property
    def java(self) -> int:
        """The process id of the Java that runs now."""
        (java,) = psutil.Process(self.process.pid).children()
        return int(java.pid)

    def wait_until_up(self) -> None:
        wait_until(lambda: ping(self.address, 5.0), self.process)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)


class ServiceProcess:
    """`python -m service`, which keeps its port when it is started again."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.port = free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            "COUNTENANCE_PORT": str(self.port),
            "COUNTENANCE_LOG_LEVEL": "error",
            **environment,
        }
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "service"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment)

    @property
    def live(self) -> str:
        """The address of sessions' sockets."""
        return f"ws://127.0.0.1:{self.port}/track"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        wait_until(self._is_ready, self.process)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def memory_mb(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base}/health/ready", timeout=10) as reply:
                return bool(reply.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False


class Deployment:
    """All of it; `mend` brings back what a test has killed.

    The models are those of a `store`, with TorchServe's `metrics` at an address of theirs, or
    without one the counting model. Redis has `store_timeout_s` for an answer.
    """

    def __init__(
        self,
        store: Path | None = None,
        metrics: str | None = None,
        store_timeout_s: float = 0.5,
    ) -> None:
        self.run = Path(tempfile.mkdtemp(prefix="cnt-"))
        self.redis = RedisServer()
        self.models: WatchedModels | ModelsProcess = (
            WatchedModels(self.run) if store is None else ModelsProcess(self.run, store, metrics)
        )
        environment = {
            "COUNTENANCE_INFERENCE": self.models.address,
            "COUNTENANCE_REDIS_URL": self.redis.url,
            "COUNTENANCE_STORE_TIMEOUT_S": str(store_timeout_s),
            "COUNTENANCE_MAX_SOCKETS": "2000",
            "COUNTENANCE_READ_IDLE_TIMEOUT_S": "3",
            "COUNTENANCE_SOCKET_SEND_S": "3",
        }
        self.services = [ServiceProcess(environment) for _ in range(2)]

    def mend(self) -> None:
        """Return when everything runs and answers, with an empty store."""
        for service in self.services:
            if service.process.poll() is not None:
                service.start()
        self.models.wait_until_up()
        for service in self.services:
            service.wait_until_ready()
        self.redis.ask("FLUSHALL")

    def close(self) -> None:
        for service in self.services:
            if service.process.poll() is None:
                service.kill(signal.SIGTERM)
        self.models.close()
        self.redis.close()
        shutil.rmtree(self.run, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
