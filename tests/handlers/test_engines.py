"""Both engines give the same answers, graphs belong to their weights, and torch is not needed."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from handlers.checkpoint import CheckpointError, read_checkpoint, save_checkpoint
from handlers.engines.base import Array, Engine
from handlers.engines.choice import chosen, load_engine
from handlers.engines.export import export_model
from handlers.engines.parts import kind_of

STORE = Path(__file__).parents[2] / "model_store"
SHIPPED = sorted(
    path.parent.name
    for path in STORE.glob("*/config.json")
    if kind_of(read_checkpoint(path.parent).config) is not None
)
QUICK = ("dfa", "mtcnn", "dcrt")
PIXELS, SHARES, LENGTH = 0.05, 0.002, 61
IN_PIXELS = ("points", "spread")


def engines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Engine, Engine]:
    """What a processor computes with, and torch."""
    monkeypatch.setattr(chosen, "threads", 1)
    found = []
    for engine in ("onnxruntime", "torch"):
        monkeypatch.setattr(chosen, "engine", engine)
        found.append(load_engine(folder)[0])
    assert [one.name for one in found] == ["onnxruntime", "torch"]
    return found[0], found[1]


def example(engine: Engine, part: str, rows: int) -> dict[str, Array]:
    """Numbers as networks see them, in [-1, 1]; counts and flags of both kinds."""
    rng = np.random.default_rng(rows)
    made = {}
    for name, one in engine.inputs(part).items():
        shape = (rows, *(size or LENGTH for size in one.shape))
        values = rng.uniform(-1, 1, shape) if one.dtype == "float32" else rng.integers(0, 2, shape)
        made[name] = np.asarray(values, one.dtype)
    return made


def assert_same_answers(one: Engine, other: Engine) -> None:
    assert set(one.parts) == set(other.parts)
    for part in one.parts:
        assert dict(one.inputs(part)) == dict(other.inputs(part))
        for rows in (1, 4):
            asked = example(one, part, rows)
            first, second = one.run(part, **asked), other.run(part, **asked)
            assert first.keys() == second.keys()
            for name in first:
                most = PIXELS if name in IN_PIXELS else SHARES
                np.testing.assert_allclose(first[name], second[name], atol=most, err_msg=part)


@pytest.mark.parametrize(
    "name", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in SHIPPED]
)
def test_the_graphs_of_a_shipped_model_answer_as_its_networks_do(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_same_answers(*engines(STORE / name, monkeypatch))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mtcnn", "fle", "dcrt"])
def test_graphs_written_anew_are_those_that_are_shipped(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(STORE / name, tmp_path / name)
    parts = export_model(tmp_path / name)
    monkeypatch.setattr(chosen, "engine", "onnxruntime")
    shipped, anew = load_engine(STORE / name)[0], load_engine(tmp_path / name)[0]
    for part in parts:
        asked = example(shipped, part, 2)
        first, second = shipped.run(part, **asked), anew.run(part, **asked)
        for answer in first:
            np.testing.assert_allclose(first[answer], second[answer], atol=1e-3)


@pytest.mark.parametrize("name", SHIPPED)
def test_graphs_keep_to_what_the_engine_has_fast_kernels_for(name: str) -> None:
    for path in (STORE / name).glob("*.onnx"):
        graph = onnx.load(path, load_external_data=False).graph
        kept = {one.name for one in graph.initializer}
        cast = {
            node.output[0]
            for node in graph.node
            if node.op_type == "Cast" and node.input[0] in kept
        }
        for node in graph.node:
            assert node.op_type != "PRelu", path
            if node.op_type == "Conv":
                assert set(node.input[2:]) <= kept | cast, f"{path}: a made-up bias"


def test_a_model_is_computed_by_graphs_once_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_model(tmp_path / "tiny")
    assert load_engine(folder)[0].name == "torch"
    assert export_model(folder) == ["landmarks"]
    assert load_engine(folder)[0].name == "onnxruntime"
    assert_same_answers(*engines(folder, monkeypatch))


def test_models_that_have_a_network_in_common_load_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen, "engine", "onnxruntime")
    first, second = (load_engine(STORE / "mtcnn")[0] for _ in range(2))
    assert first is second
    shutil.copytree(STORE / "mtcnn", tmp_path / "mtcnn")
    assert load_engine(tmp_path / "mtcnn")[0] is not first


def test_graphs_of_other_weights_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_model(tmp_path / "tiny")
    export_model(folder)
    config = read_checkpoint(folder).config
    weights = tiny_model(tmp_path / "other", seed=1) / "weights.safetensors"
    save_checkpoint(folder, "tiny", "2", config, torch_tensors(weights))
    assert load_engine(folder)[0].name == "torch"
    monkeypatch.setattr(chosen, "engine", "onnxruntime")
    with pytest.raises(CheckpointError, match="countenance export tiny"):
        load_engine(folder)


def test_a_checkpoint_without_networks_has_no_engine(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "odd", "odd", "1", {}, {"a": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="names no network"):
        load_engine(tmp_path / "odd")


def test_threads_that_share_an_engine_get_the_answers_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for engine in engines(STORE / "mtcnn", monkeypatch):
        asked = example(engine, "refine", 3)
        expected = engine.run("refine", **asked)["scores"]
        with ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(engine.run, "refine", **asked) for _ in range(16)]
        for run in runs:
            np.testing.assert_allclose(run.result()["scores"], expected, atol=1e-6)


def test_a_part_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in engines(STORE / "mtcnn", monkeypatch):
        with pytest.raises(KeyError):
            engine.run("none", crops=np.zeros((1, 3, 24, 24), np.float32))


def tiny_model(folder: Path, seed: int = 0) -> Path:
    """A landmark network with random weights in half precision, as training writes it."""
    from handlers.networks.denoiser import AlignmentNetwork

    torch.manual_seed(seed)
    landmarks = {"backbone": "senet", "size": "tiny", "head": "heatmap"}
    network = AlignmentNetwork(landmarks)
    tensors = {
        name: one.half() if one.is_floating_point() else one
        for name, one in network.state_dict().items()
    }
    config = {"landmarks": landmarks, "denoiser": None, "context": 1.3, "crop_px": 128}
    save_checkpoint(folder, folder.name, "1", config, tensors)
    return folder


def torch_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from pathlib import Path
from handlers.affect import AffectHandler
from handlers.align import AlignHandler
from handlers.torchserve.models import face_row
from handlers.track import TrackHandler
from handlers.wire import unpack

for name, kind in (("align", AlignHandler), ("track", TrackHandler), ("affect", AffectHandler)):
    handler, state = kind(Path(sys.argv[1])), None
    for step in range(2):
        reply = unpack(handler.handle([face_row(name, step, state)])[0])
        assert "error" not in reply, reply
        state = reply.get("state")
"""


def test_every_handler_answers_where_torch_is_not_installed() -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(STORE)]
    run = subprocess.run(command, cwd=STORE.parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_example_of_the_documentation_finds_the_landmarks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = (STORE.parent / "docs/onnx.md").read_text(encoding="utf-8")
    told = json.loads((STORE.parent / "service/commands/sample/answer.json").read_text("utf-8"))
    monkeypatch.chdir(STORE.parent)
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    expected = np.array(told["faces"][0]["landmarks"])
    assert np.abs(names["landmarks"] - expected).mean() < 3
