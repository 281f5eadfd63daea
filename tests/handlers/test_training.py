"""Training on made faces: it learns, resumes as if unbroken, and refuses wrong recipes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from handlers.checkpoint import load_checkpoint
from handlers.training.datasets.folders import write_pts
from handlers.training.faces import Degrading, FaceBank, Source
from handlers.training.loop import Run, Schedule, at_hand
from handlers.training.recipe import RecipeError
from handlers.training.train import read_recipe

HEAD = """
kind = "alignment"
name = "small"
version = "1"
about = "a test"
licence = "none"
[schedule]
steps = {steps}
batch = 4
rate = 1e-2
seed = 1
warmup = 2
average = 0.5
precision = "32-true"
save_every = 3
[[sources]]
folder = "faces"
share = 1.0
"""
LANDMARKS = """
[landmarks]
backbone = "senet"
size = "tiny"
head = "{head}"
head_width = 8
"""
DENOISER = """
[denoiser]
kind = "mtc"
size = "tiny"
classes = ["blur", "noise"]
[degrading]
clean = 0.2
kinds = {blur = ["blur", "motion"], noise = ["noise"]}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three pictures of random dots, each with 68 landmarks."""
    folder = tmp_path / "data" / "faces"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(3):
        points = rng.uniform(40, 110, (68, 2)).astype(np.float32)
        picture = rng.integers(0, 256, (150, 150, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), picture)
        write_pts(folder / f"{index}.pts", points)
    return tmp_path / "data"


def recipe(tmp_path: Path, *parts: str, steps: int = 6) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text("".join((HEAD.format(steps=steps), *parts)))
    return path


def carry_out(path: Path, data: Path, runs: Path, store: Path) -> None:
    read_recipe(path).run(data, runs, store, resume=True)


@pytest.mark.parametrize("head", ["heatmap", "regression"])
def test_losses_fall_and_the_trained_model_is_in_the_store(
    tmp_path: Path, data: Path, head: str
) -> None:
    path = recipe(tmp_path, LANDMARKS.format(head=head), steps=40)
    carry_out(path, data, tmp_path / "runs", tmp_path / "store")
    table = np.genfromtxt(tmp_path / "runs/small/losses.csv", delimiter=",", names=True)
    assert np.isfinite(table["loss"]).all()
    assert (tmp_path / "runs/small/losses.png").stat().st_size > 0
    checkpoint = load_checkpoint(tmp_path / "store" / "small")
    assert checkpoint.config["landmarks"]["head"] == head
    assert checkpoint.config["recipe"]["schedule"]["seed"] == 1


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path, data: Path) -> None:
    parts = (LANDMARKS.format(head="heatmap"), DENOISER)
    carry_out(recipe(tmp_path, *parts), data, tmp_path / "whole", tmp_path / "store-1")
    broken = Stopping(stop_at=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Degrading, "__call__", lambda *arguments: broken.degrade(*arguments))
        with pytest.raises(KeyboardInterrupt):
            carry_out(recipe(tmp_path, *parts), data, tmp_path / "broken", tmp_path / "store-2")
    assert not (tmp_path / "store-2" / "small").exists()
    carry_out(recipe(tmp_path, *parts), data, tmp_path / "broken", tmp_path / "store-2")
    first, second = (load_checkpoint(tmp_path / f"store-{n}" / "small").tensors for n in (1, 2))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert_close(tensor, second[name], msg=name)


class Stopping:
    """Lets a run draw its first batches and then interrupts it, as a person would."""

    def __init__(self, stop_at: int) -> None:
        self.left = stop_at * 4
        self.original = Degrading.__call__

    def degrade(self, *arguments: Any) -> Any:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.original(*arguments)


def test_a_recipe_starts_from_the_models_it_names_by_the_classes_of_their_denoisers(
    tmp_path: Path, data: Path
) -> None:
    store = tmp_path / "store"
    carry_out(recipe(tmp_path, DENOISER, steps=3), data, tmp_path / "runs", store)
    given = load_checkpoint(store / "small").tensors
    text = (HEAD.format(steps=1) + DENOISER).replace('"small"', '"next"\nstart = ["small"]', 1)
    text = text.replace('["blur", "noise"]', '["noise"]').replace('blur = ["blur", "motion"], ', "")
    text = text.replace("rate = 1e-2", "rate = 0.0")
    path = tmp_path / "next.toml"
    path.write_text(text)
    carry_out(path, data, tmp_path / "runs", store)
    taken = load_checkpoint(store / "next").tensors
    name = "decoder.image.weight"
    assert torch.equal(taken[f"denoiser.denoisers.0.{name}"], given[f"denoiser.denoisers.1.{name}"])


def test_batches_draw_from_the_sources_by_their_shares(tmp_path: Path, data: Path) -> None:
    (data / "more").mkdir()
    for suffix in ("png", "pts"):
        source = data / f"faces/0.{suffix}"
        (data / f"more/0.{suffix}").write_bytes(source.read_bytes())
    bank = FaceBank(data, [Source("faces", 3.0), Source("more", 1.0)])
    np.testing.assert_allclose(bank.shares, [0.75, 0.25])
    assert [len(members) for members in bank.members] == [3, 1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HEAD.format(steps=1), r"\[landmarks\], \[denoiser\] or both"),
        (HEAD.format(steps=1) + LANDMARKS.format(head="heatmap") + "colour = 1\n", "colour"),
        (HEAD.format(steps='"many"') + LANDMARKS.format(head="heatmap"), "steps"),
        (HEAD.format(steps=1) + DENOISER.replace('["blur", "noise"]', '["fog"]'), "fog"),
        (HEAD.format(steps=1) + DENOISER.split("[degrading]")[0], "degrading"),
        ("name = ", "recipe.toml"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_reason(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=complaint):
        read_recipe(path)


def test_every_recipe_of_the_project_can_be_read() -> None:
    import handlers.training

    folder = Path(handlers.training.__file__).parent / "recipes"
    align = (
        "fle",
        "fll",
        "iid-m",
        "iid-d",
        "dfa",
        "dfa-taught",
        "fadenn-d",
        "fadenn-s",
        "fadenn-m",
    )
    assert [read_recipe(folder / f"{name}.toml").name for name in align] == list(align)


def test_a_folder_without_faces_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        FaceBank(tmp_path, [Source("nothing", 1.0)])


class Remembering(torch.nn.Module):
    """A learner that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, batch: dict[str, torch.Tensor], progress: float) -> dict[str, torch.Tensor]:
        self.given = batch["points"]
        return {"loss": (self.weight * self.given).mean()}


def test_true_landmarks_reach_the_learner_unrounded_in_mixed_precision(tmp_path: Path) -> None:
    learner, points = Remembering(), torch.tensor([100.3, 64.7])
    run = Run(learner, Schedule(steps=1, batch=1, rate=0.1, seed=0), tmp_path)
    run.fit(lambda rng, size: {"points": points}, resume=False)
    assert torch.equal(learner.given, points)


@pytest.mark.slow
def test_two_processes_under_torchrun_train_one_model(tmp_path: Path, data: Path) -> None:
    path = recipe(tmp_path, LANDMARKS.format(head="heatmap"), DENOISER)
    call = (
        "from pathlib import Path; from handlers.training.train import read_recipe; "
        f"read_recipe(Path({str(path)!r})).run(Path({str(data)!r}), "
        f"Path({str(tmp_path / 'runs')!r}), Path({str(tmp_path / 'store')!r}), resume=True)"
    )
    script = tmp_path / "train.py"
    script.write_text(call)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    table = np.genfromtxt(tmp_path / "runs/small/losses.csv", delimiter=",", names=True)
    assert np.atleast_1d(table["step"]).tolist() == [6]  # one log: they are one run
    assert load_checkpoint(tmp_path / "store" / "small").config["landmarks"]["size"] == "tiny"


def test_a_processor_computes_in_a_precision_that_it_has() -> None:
    assert at_hand("32-true") == "32-true"
    has_mixed = torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert at_hand("bf16-mixed") == ("bf16-mixed" if has_mixed else "32-true")
