"""The image `service` by its own instructions: it installs by the lock, is small, and serves."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.serving.replay import Replay
from tests.serving.servers import wait_until

ROOT = Path(__file__).parents[2]
LARGEST_BYTES = 400 * 10**6
BASE_IMAGE_BYTES = 130 * 10**6
PORT = 8797

pytestmark = pytest.mark.slow


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink())


@pytest.fixture(scope="module")
def opt(tmp_path_factory) -> Path:
    """The folder /opt of the image: the virtual environment and the code."""
    folder = tmp_path_factory.mktemp("image")
    replay = Replay(ROOT / "Dockerfile", ROOT, folder, Path(sys.executable))
    needs, code = replay.build("service-needs"), replay.build("code")
    opt = folder / "opt"
    opt.mkdir()
    (needs / "opt" / "venv").rename(opt / "venv")
    (code / "opt" / "countenance").rename(opt / "countenance")
    return opt


def test_it_is_small_and_has_neither_torch_nor_pip(opt):
    packages = next((opt / "venv" / "lib").glob("python3*/site-packages"))
    assert not any((packages / name).exists() for name in ("torch", "pip", "cv2", "numpy"))
    assert size_of(opt) + BASE_IMAGE_BYTES < LARGEST_BYTES
    assert next((opt / "countenance").glob("countenance-*.dist-info")).is_dir()


def test_it_serves_without_torch_and_waits_for_its_models(opt, tmp_path):
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(opt / "countenance"),
        "COUNTENANCE_PORT": str(PORT),
        "COUNTENANCE_INFERENCE": f"unix:{tmp_path}/none",
    }
    python = next((opt / "venv" / "bin").glob("python"))
    process = subprocess.Popen([python, "-m", "service"], cwd=tmp_path, env=environment)
    try:
        wait_until(lambda: ask("/health/live")[0] == 200, process)
        status, body = ask("/health/ready")
        assert (status, body["reason"]) == (503, "the worker cannot be reached")
    finally:
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM)


def ask(path: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=10) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
