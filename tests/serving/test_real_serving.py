"""What production runs: the serve command, its watched Java, and real models behind the client."""

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from handlers.align import AlignHandler
from handlers.checkpoint import save_checkpoint
from handlers.networks.denoiser import AlignmentNetwork
from handlers.torchserve.watching import ping
from service.inference import Question
from service.inference.loading import Loaded
from service.inference.local import LocalInference
from service.inference.remote.torchserve import TorchServeInference
from service.settings import Settings
from tests.serving.servers import lingers, wait_until
from tests.waiting import until, until_said

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ts") is None, reason="needs the extra torchserve"),
]

ROOT = Path(__file__).parents[2]
STORE = ROOT / "model_store"
PORTRAIT = (ROOT / "tests" / "assets" / "astronaut.jpg").read_bytes()
SMALL: dict[str, Any] = {
    "landmarks": {"backbone": "senet", "size": "compact", "head": "regression"},
    "denoiser": {"kind": "mtc", "size": "compact", "classes": ["blur", "illumination"]},
    "context": 1.3,
    "crop_px": 128,
}


def fill(store: Path) -> None:
    """Put a working align into a store, the shipped one or an untrained one, and a broken track."""
    for name in ("mtcnn", "face_shape", "silero"):
        shutil.copytree(STORE / name, store / name)
    if (STORE / "dfa").is_dir():
        shutil.copytree(STORE / "dfa", store / "dfa")
    else:
        torch.manual_seed(0)
        network = AlignmentNetwork(SMALL["landmarks"], SMALL["denoiser"])
        # Landmarks that lie apart, as those of a trained network do.
        torch.nn.init.uniform_(network.landmarks.head.linear.bias, -0.3, 0.3)
        save_checkpoint(store / "dfa", "dfa", "0", SMALL, network.state_dict())
    (store / "dcrt").mkdir()
    (store / "dcrt" / "weights.safetensors").write_bytes(b"no weights")


class Serving:
    """`python -m handlers.torchserve serve` in a process."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.store = run / "store"
        self.address = f"unix:{run}/inference.sock"
        fill(self.store)
        self.process = self.command(
            "serve", "--run", str(run), "--model-store", str(self.store), "--device", "cpu",
            "--threads", "1", "--address", self.address,
        )  # fmt: skip

    def command(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        program = [sys.executable, "-m", "handlers.torchserve", *arguments]
        return subprocess.Popen(program, cwd=ROOT, text=True, **options)

    def check(self) -> tuple[int, str]:
        """Exit status and words of the check command."""
        process = self.command("check", "--address", self.address, stdout=subprocess.PIPE)
        told, _ = process.communicate(timeout=120)
        return process.returncode, told

    def java(self) -> int:
        """Process id of the Java that is watched."""
        pid = self.process.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    run = Path(tempfile.mkdtemp(prefix="cnt-"))
    serving = Serving(run)
    try:
        wait_until(lambda: ping(serving.address, 5.0))
        yield serving
    finally:
        serving.close()
        shutil.rmtree(run, ignore_errors=True)


@pytest.fixture
async def remote(serving) -> AsyncIterator[TorchServeInference]:
    settings = Settings(inference=serving.address, inference_timeout_s=240.0)
    remote = TorchServeInference.from_settings(settings)
    await remote.open()
    yield remote
    await remote.close()


def question(**options: object) -> Question:
    return Question({"image": PORTRAIT}, options)


def assert_same(found: Any, wanted: Any) -> None:
    """Equal down to rounding, but for the times that it took."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted.keys() - {"timings_ms"}:
            assert_same(found[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    elif isinstance(wanted, bytes):
        assert_same_picture(found, wanted)
    else:
        assert found == wanted


def assert_same_picture(found: bytes, wanted: bytes) -> None:
    """Equal but for the rims of what is drawn, which move with the rounding of landmarks."""
    one, other = (np.asarray(Image.open(io.BytesIO(png)), np.int16) for png in (found, wanted))
    assert one.shape == other.shape
    assert (np.abs(one - other).max(axis=-1) > 16).mean() < 1e-3


async def until_serves(remote: TorchServeInference, model: str) -> None:
    async def serves() -> bool:
        return model in (await remote.readiness()).models

    await until(serves)


async def test_answers_equal_those_of_the_models_in_this_process(remote, serving):
    local = LocalInference(lambda: Loaded("cpu", {"align": AlignHandler(serving.store, "cpu")}))
    await local.open()
    for asked in (question(include=["overlay"]), question(boxes=[[170, 60, 280, 190]])):
        wanted = (await local.ask("align", asked)).outputs
        for answer in await asyncio.gather(*(remote.ask("align", asked) for _ in range(4))):
            assert_same(answer.outputs, wanted)
    description = await local.describe()
    await local.close()
    await until_serves(remote, "align")
    assert await remote.describe() == description


async def test_a_model_whose_weights_are_broken_is_named_and_the_other_one_works(remote, serving):
    await until_said(remote, "cannot be loaded")

    async def names_the_broken_one() -> bool:
        state = await remote.readiness()
        told = "track" in (state.reason or "")
        return told and (state.ready, state.models) == (False, ("align",))

    await until(names_the_broken_one)
    status, told = await asyncio.to_thread(serving.check)
    assert status == 1
    assert "track: the model cannot be loaded" in told
    assert "align" in told


async def test_a_killed_java_is_started_again_without_its_old_workers(remote, serving):
    killed = serving.java()
    os.kill(killed, signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: not lingers(killed))
    await asyncio.to_thread(wait_until, lambda: ping(serving.address, 5.0))
    assert serving.java() != killed
    assert (await remote.ask("align", question())).outputs["image"]["format"] == "JPEG"


def test_a_stop_signal_ends_everything_and_leaves_no_socket(serving):
    java = serving.java()
    serving.close()
    assert serving.process.returncode == 0
    assert not lingers(java)
    assert not list(serving.run.rglob("*.sock*"))
    assert serving.check()[0] == 1
