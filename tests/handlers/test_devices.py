"""Handlers away from the CPU: on a stand-in that keeps apart what a GPU would, and on a real one.

What needs a GPU is skipped without one: same faces, and numbers as far apart as their units allow.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.overrides import TorchFunctionMode

from handlers.affect import AffectHandler
from handlers.align import AlignHandler
from handlers.base import Handler
from handlers.engines.base import Input, padded
from handlers.engines.choice import chosen
from handlers.engines.parts import Part
from handlers.engines.torch_engine import TorchEngine
from handlers.networks.variants import VARIANTS
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.predictor import AffectPredictor
from handlers.predictors.affect.run import AffectRow, Heard
from handlers.predictors.alignment import AlignmentPredictor
from handlers.store import load_aligner, load_estimator
from handlers.torchserve.models import face_row, sizes_of
from handlers.track import TrackHandler
from handlers.wire import unpack
from tests.bench.gpu_check.answers import apart, are_alike, told
from tests.handlers.affect_fakes import RATE, frame, loud_detector, parts, save, voice
from tests.handlers.far_device import FarTensor, Traffic, counted, far_device

ROOT = Path(__file__).parents[2]
STORE, FACES = ROOT / "model_store", ROOT / "tests/assets/astronaut.jpg"
HANDLERS: dict[str, Any] = {"align": AlignHandler, "track": TrackHandler, "affect": AffectHandler}
ALIGNERS = ("dfa", "fadenn-d", "fadenn-m", "fadenn-s", "fle", "fll")
# The kinds of opensmile's descriptors need an extra, and nothing else on a device.
AFFECT = sorted(VARIANTS.keys() - {"aeg-cd-sz"})
STEPS, SESSIONS = 3, 2
SAME = 1e-2


class Here(Executor):
    """Computes at once and on this thread, the only one that sees the stand-in."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(work(*args, **kwargs))
        return future


class RoundedAsTF32(TorchFunctionMode):
    """Rounds what layers multiply to 10 bits, as GPUs do in TF32."""

    LAYERS = frozenset({"conv1d", "conv2d", "conv_transpose2d", "linear", "matmul", "bmm"})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ in self.LAYERS:
            args = tuple(map(self.rounded, args))
        return func(*args, **kwargs or {})

    @staticmethod
    def rounded(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dtype is not torch.float32:
            return value
        bits = value.contiguous().view(torch.int32)
        return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def followed(handler: Handler[Any], model: str, **options: Any) -> list[dict[str, Any]]:
    """What a handler says of some steps of sessions that share batches."""
    return told([handler] * STEPS, model, SESSIONS, **options)


def assert_alike(one: Any, other: Any) -> None:
    """Assert that two replies have the same shape, and numbers that differ by a tenth of what a
    GPU's may."""
    found = apart(one, other)
    assert are_alike({unit: 10 * most for unit, most in found.items()}), found


def assert_stays_away(traffic: Traffic) -> None:
    """Assert that parts stay on the device from their inputs, one copy, to their answers, one
    copy: so they can be captured as CUDA graphs."""
    assert traffic.sent == traffic.fetched > 0
    assert traffic.waited == 0


@pytest.fixture(autouse=True)
def _torch_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared is devices, and not engines."""
    monkeypatch.setattr(chosen, "engine", "torch")


def test_the_stand_in_refuses_what_a_gpu_refuses() -> None:
    with far_device() as device:
        far = torch.ones(2, device=device)
        assert isinstance(far, FarTensor)
        assert (far + far).cpu().tolist() == [2.0, 2.0]
        with pytest.raises(RuntimeError, match="two devices"):
            far + torch.ones(2)
        with pytest.raises((TypeError, RuntimeError)):
            far.numpy()
        with pytest.raises(RuntimeError, match="two devices"):
            torch.ones(2) + far.sum()
        assert far[torch.tensor([0])].cpu().tolist() == [1.0]


MIXTURES: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], Any]] = {
    "a near tensor indexed by a far one": lambda near, far, there, here: near[there],
    "a near tensor chosen from by a far mask": lambda near, far, there, here: near[far > 0],
    "a near tensor gathered by a far one": lambda near, far, there, here: near.gather(0, there),
    "a near tensor written with a far one": lambda near, far, there, here: near.index_put_(
        (here,), far
    ),
    "near places written with far ones": lambda near, far, there, here: near.__setitem__(here, far),
    "far places written with near ones": lambda near, far, there, here: far.__setitem__(here, near),
    "a near tensor added to at far places": lambda near, far, there, here: near.index_add_(
        0, there, near
    ),
    "a near tensor filled where a far mask is": lambda near, far, there, here: near.masked_fill_(
        far > 0, 0.0
    ),
    "both, joined": lambda near, far, there, here: torch.cat([near, far]),
}


@pytest.mark.parametrize("mix", MIXTURES.values(), ids=MIXTURES.keys())
def test_the_stand_in_refuses_a_mixture_of_devices(mix: Callable[..., Any]) -> None:
    near, here = torch.ones(2), torch.tensor([0, 1])
    with far_device() as device:
        far, there = near.to(device), here.to(device)
        with pytest.raises(RuntimeError, match="two devices"):
            mix(near, far, there, here)


@pytest.mark.slow
@pytest.mark.parametrize("model", HANDLERS)
def test_what_a_gpus_rounding_moves_stays_far_within_what_is_allowed(model: str) -> None:
    handler = HANDLERS[model](STORE)
    if model == "affect":
        handler.parts.predictor._encoder = Here()
    exact = followed(handler, model)
    with RoundedAsTF32():
        rounded = followed(handler, model)
    found = apart(exact, rounded)
    assert found["pixels"] > 0
    assert are_alike({unit: 4 * most for unit, most in found.items()}), found


@pytest.mark.slow
@pytest.mark.parametrize("model", HANDLERS)
def test_a_handler_keeps_all_that_it_computes_with_on_its_device(model: str) -> None:
    with far_device() as device:
        handler = HANDLERS[model](STORE, device)
        if model == "affect":
            handler.parts.predictor._others = Here
        far = followed(handler, model)
    assert_alike(far, followed(HANDLERS[model](STORE), model))


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["dcrt", "crt", "bt", "dfa-det", "dfa-prev"])
def test_every_tracker_does(variant: str) -> None:
    with far_device() as device:
        far = followed(TrackHandler(STORE, device), "track", variant=variant, max_faces=2)
    near = followed(TrackHandler(STORE), "track", variant=variant, max_faces=2)
    assert_alike(far, near)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALIGNERS)
def test_every_aligner_does(name: str) -> None:
    pixels = np.asarray(Image.open(FACES).convert("RGB"))
    boxes = np.array([[170, 60, 280, 190], [160, 50, 290, 200]], np.float32)

    def found(aligner: AlignmentPredictor) -> torch.Tensor:
        (faces,) = aligner.align([pixels], [boxes], looks=2)
        return torch.tensor(np.stack([face.landmarks for face in faces]))

    with far_device() as device:
        aligner = load_aligner(STORE, name, device).predictor
        with counted() as traffic:
            far = found(aligner)
    assert_stays_away(traffic)
    near = found(load_aligner(STORE, name).predictor)
    torch.testing.assert_close(far, near, atol=SAME, rtol=0)


@pytest.mark.parametrize("name", AFFECT)
def test_every_affect_model_does(tmp_path: Path, name: str) -> None:
    save(tmp_path / name)
    tracker = parts(tmp_path, name).predictor.tracker
    frames = [frame(number) for number in range(3)]
    row = AffectRow(frames, [n / RATE for n in range(3)], Heard(0, voice(1.0)), None, name)

    def found(estimators: dict[str, Estimator]) -> list[list[float | None]]:
        predictor = AffectPredictor(estimators, tracker, loud_detector())
        predictor._others = Here  # type: ignore[assignment]
        first, second = predictor.step([row, row])
        assert first.frames[-1].valence == pytest.approx(second.frames[-1].valence, abs=SAME)
        return [[one.valence, one.arousal, one.gate] for one in first.frames]

    with far_device() as device:
        estimators = {name: load_estimator(tmp_path / name, device)[0]}
        with counted() as traffic:
            far = found(estimators)
    assert_stays_away(traffic)
    assert_alike(far, found({name: load_estimator(tmp_path / name)[0]}))


def traffic_of(handler: Handler[Any], model: str, rows: int) -> list[Traffic]:
    """What goes to the device and back in each step of so many sessions that share batches."""
    states: list[bytes | None] = [None] * rows
    found = []
    for step in range(2):
        asked = [face_row(model, step, state) for state in states]
        with counted() as traffic:
            replies = [unpack(reply) for reply in handler.handle(asked)]
        found.append(traffic)
        states = [reply.get("state") for reply in replies]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("model", "most"), [("align", 10), ("track", 4), ("affect", 7)])
def test_more_rows_need_no_more_transfers_and_nobody_waits_within_a_network(
    model: str, most: int
) -> None:
    with far_device() as device:
        handler = HANDLERS[model](STORE, device)
        if model == "affect":
            handler.parts.predictor._others = Here
        alone, together = (traffic_of(handler, model, rows) for rows in (1, 4))
    assert alone == together
    assert alone[-1].sent <= most
    for traffic in alone:
        assert_stays_away(traffic)


def test_batches_are_padded_to_what_a_gpu_was_warmed_up_for() -> None:
    assert [padded(rows) for rows in (1, 2, 3, 5, 16, 17, 64, 65, 200)] == [
        *(1, 2, 4, 8, 16, 32, 64, 128, 256)
    ]
    assert {padded(rows) for rows in range(1, 33)} == set(sizes_of(16, on_gpu=True))
    seen = []

    def twice(_: nn.Module, one: torch.Tensor, flag: torch.Tensor) -> list[torch.Tensor]:
        seen.append(len(one))
        return [flag.logical_not(), one * 2, torch.arange(len(one), device=one.device)]

    inputs = {"one": Input((2,)), "flag": Input((), "bool")}
    parts = {"twice": Part(twice, inputs, ("flag", "two", "count"))}
    asked = {
        "one": np.array([[1, 2], [3, 4], [5, 6]], np.float32),
        "flag": np.array([1, 0, 1], bool),
    }
    with far_device() as device:
        far = TorchEngine(nn.Identity(), parts, device).run("twice", **asked)
    near = TorchEngine(nn.Identity(), parts).run("twice", **asked)
    assert seen == [4, 3]
    for name in far:
        np.testing.assert_array_equal(far[name], near[name])
        assert far[name].dtype == near[name].dtype


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("model", HANDLERS)
def test_a_gpu_finds_the_same_faces_and_points_as_the_processor(model: str) -> None:
    gpu, processor = HANDLERS[model](STORE, "cuda"), HANDLERS[model](STORE)
    found = apart(followed(gpu, model), followed(processor, model))
    assert are_alike(found), found
