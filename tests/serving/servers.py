"""A real TorchServe for tests, on unix sockets in a directory of its own, with the probe inside."""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.torchserve.models import CONFIG, SHIM, Placement
from handlers.torchserve.starting import Server, clear, prepare, start
from handlers.torchserve.watching import AskError, UnixConnection, describe, ping, stop

PATIENCE_S = 180.0
RESPONSE_TIMEOUT_S = 4
PROBE_SHIM = """from tests.serving.probe import ProbeAdaptor


class Model(ProbeAdaptor):
    pass
"""


@dataclass
class ProbeServer:
    """TorchServe with the probe as the model `track`, whose files lie in `store`."""

    server: Server
    store: Path
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def make(cls, run: Path, workers: int = 1, shim: str = PROBE_SHIM) -> "ProbeServer":
        """Write all that is needed; a worker that is silent for some seconds is killed."""
        store = run / "store"
        store.mkdir()
        placement = Placement(store, {"track": workers})
        server = Server(f"unix:{run}/inference.sock", run, ("track",), placement)
        prepare(server)
        (run / "models" / "track" / SHIM).write_text(shim)
        path = run / "models" / "track" / CONFIG
        config = {**json.loads(path.read_text()), "responseTimeout": RESPONSE_TIMEOUT_S}
        path.write_text(json.dumps(config))
        return cls(server, store)

    @property
    def address(self) -> str:
        return self.server.address

    def start(self) -> None:
        """Start, and return when the server answers; its workers may need longer."""
        self.process = start(self.server)
        wait_until(lambda: ping(self.address, 5.0), self.process)

    def stop(self) -> None:
        if self.process is not None:
            stop(self.process)
            clear(self.server)

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that are there, as the management API tells them."""
        with closing(UnixConnection(f"{self.server.run}/management.sock", 10.0)) as connection:
            connection.request("GET", "/models/track")
            workers = json.loads(connection.getresponse().read())[0]["workers"]
        return [worker["pid"] for worker in workers if worker["status"] == "READY"]

    def metrics(self) -> str:
        """TorchServe's own page for Prometheus."""
        with closing(UnixConnection(f"{self.server.run}/metrics.sock", 10.0)) as connection:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def wait_for_workers(self, count: int = 1) -> list[int]:
        """Return the ids of the workers once so many are ready."""
        wait_until(lambda: len(self.worker_pids()) >= count, self.process)
        return self.worker_pids()


def wait_until(true: Callable[[], bool], process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Look again and again, patiently; fails at once when the process has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while not _holds(true):
        assert process is None or process.poll() is None, "the server has ended"
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def _holds(true: Callable[[], bool]) -> bool:
    try:
        return true()
    except (OSError, http.client.HTTPException, KeyError, IndexError, AskError):
        return False


def described(address: str, model: str) -> dict[str, Any]:
    """What a model says of itself, waiting for it to be loaded."""
    wait_until(lambda: bool(describe(address, model, 10.0)))
    return describe(address, model, 10.0)


def lingers(group: int) -> bool:
    """Whether any process of a group is still there after a moment for those that are ending."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True
