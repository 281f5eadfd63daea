"""What some tests need that `make test` does not install: whether it is there, how to get it."""

import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec

import pytest

from service.media.clips.child import load_library

NODE = shutil.which("node")


@dataclass(frozen=True)
class Need:
    """A program, a package or a device, and what installs it."""

    what: str
    is_there: bool
    how: str

    @property
    def mark(self) -> pytest.MarkDecorator:
        return pytest.mark.skipif(not self.is_there, reason=f"needs {self.what}: {self.how}")


def has_sockets() -> bool:
    """Whether there is a Node that can open sockets; an older one is asked for them by a flag."""
    if NODE is None:
        return False
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True).stdout
    return int(version.strip("v\n").split(".")[0]) >= 20


def is_installed(program: str) -> bool:
    return shutil.which(program) is not None


PROMETHEUS = Need("Prometheus", is_installed("prometheus"), "apt-get install prometheus")
CADDY = Need("Caddy", is_installed("caddy"), "apt-get install caddy")
NODE_20 = Need("Node.js 20 or newer", has_sockets(), "nodejs.org, or your distribution's")
TSC = Need("the TypeScript compiler", is_installed("tsc"), "npm install --global typescript")
SECCOMP = Need("libseccomp", load_library() is not None, "apt-get install libseccomp2")
OPENSMILE = Need(
    "opensmile",
    find_spec("opensmile") is not None,
    "pip install opensmile, whose licence is for research only",
)
GPU = Need("an NVIDIA GPU", is_installed("nvidia-smi"), "`make` then installs torch for it")
NEEDS = (PROMETHEUS, CADDY, NODE_20, TSC, SECCOMP, OPENSMILE, GPU)
