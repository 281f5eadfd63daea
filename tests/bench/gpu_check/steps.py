"""The steps of the check. Each runs in a process of its own and returns what is written as JSON."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from handlers.base import DeviceFault, Handler
from handlers.engines.choice import CPU, CUDA, TORCH, chosen
from handlers.torchserve.adaptor import prepare_gpu, touch
from handlers.torchserve.models import MODELS, face_row, servable, sizes_of, warm_up
from handlers.wire import unpack
from tests.bench.gpu_check.answers import apart, are_alike, make_handler, told
from tests.bench.gpu_check.load import Sessions, profile_steps, time_batches

Found = dict[str, Any]

NO_GPU = {"skipped": "needs an NVIDIA GPU"}
ASKED_OF_DRIVER = "name,driver_version,memory.total,power.limit,clocks.max.sm,compute_mode"
# The share of the GPU's memory that is left to a batch which is to run out of it.
SHARE_AFTER_LOADING = 1.02


@dataclass(frozen=True)
class Settings:
    """The weights, the device, and the length and amount of measuring."""

    store: Path
    device: str = CUDA
    seconds: float = 2.0
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    processes: tuple[int, ...] = (1, 2, 4, 6)
    asked: tuple[str, ...] = tuple(MODELS)

    @property
    def is_cuda(self) -> bool:
        return torch.device(self.device).type == CUDA

    @property
    def models(self) -> list[str]:
        """The models that are asked for and that the store has the weights of."""
        return [name for name in servable(self.store) if name in self.asked]

    def handler(self, model: str, device: str | None = None) -> Handler[Any]:
        """A handler on the device that is looked at, or on another one."""
        return make_handler(self.store, model, device or self.device)


def facts(settings: Settings) -> Found:
    """Describe the machine: the GPU, its driver, torch, cores and memory."""
    found: Found = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "system": platform.release(),
        "cores": len(os.sched_getaffinity(0)),
        "models": settings.models,
        "device": settings.device,
    }
    touch(settings.device)
    if settings.is_cuda:
        one = torch.cuda.get_device_properties(settings.device)
        found["gpu"] = {
            "name": one.name,
            "capability": f"{one.major}.{one.minor}",
            "memory_mb": one.total_memory // 2**20,
            "multiprocessors": one.multi_processor_count,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        }
    if (tool := shutil.which("nvidia-smi")) is not None:
        command = [tool, f"--query-gpu={ASKED_OF_DRIVER}", "--format=csv"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=30)
        found["nvidia_smi"] = (run.stdout + run.stderr).strip().splitlines()
    return found


def same_answers(settings: Settings) -> Found:
    """The largest differences between the device and the processor, of every model and variant."""
    found: Found = {}
    for model in settings.models:
        there, here = settings.handler(model), settings.handler(model, CPU)
        for variant in there.describe().get("variants", [None]):
            options = {} if variant is None else {"variant": variant}
            answers = (told([one] * 3, model, **options) for one in (there, here))
            found[f"{model} {variant or ''}".strip()] = _judged(*answers)
    return found


def states_across(settings: Settings) -> Found:
    """A session that goes from the device to the processor and back, beside one that stays here."""
    found: Found = {}
    for model in settings.models:
        if model != "align":
            there, here = settings.handler(model), settings.handler(model, CPU)
            found[model] = _judged(told([there, here, there, here], model), told([here] * 4, model))
    return found


def loading(settings: Settings) -> Found:
    """Measure each model's time of loading and warming up, and its memory then."""
    found: Found = {}
    for model in settings.models:
        began = time.perf_counter()
        handler = settings.handler(model)
        loaded = time.perf_counter()
        rows = min(MODELS[model].rows, max(settings.batches))
        warm_up(handler, model, sizes_of(rows, settings.is_cuda))
        warm = time.perf_counter()
        found[model] = {"load_s": round(loaded - began, 2), "warm_up_s": round(warm - loaded, 2)}
        if settings.is_cuda:
            found[model]["allocated_mb"] = torch.cuda.memory_allocated() // 2**20
            found[model]["reserved_mb"] = torch.cuda.memory_reserved() // 2**20
    return found


def bare_steps(settings: Settings) -> Found:
    """Steps of batches of each size, without a service around them."""
    return {
        model: time_batches(settings.handler(model), model, settings.batches, settings.seconds)
        for model in settings.models
    }


def cuda_graphs(settings: Settings) -> Found:
    """The tracker's steps with and without graphs, and how far the answers of both are apart."""
    batches = settings.batches[:: max(1, len(settings.batches) // 3)]
    found: Found = {}
    answers = []
    for captured in (False, True):
        chosen.cuda_graphs = captured
        handler = settings.handler("track")
        answers.append(told([handler] * 3, "track"))
        found["on" if captured else "off"] = time_batches(
            handler, "track", batches, settings.seconds
        )
    return {**found, "difference": _judged(*answers)}


def transfers(settings: Settings) -> Found:
    """Count a step's calls of the driver: copies, launches and waits, and how busy the GPU is."""
    sizes = (min(settings.batches), max(settings.batches))
    return {
        model: {
            str(rows): profile_steps(settings.handler(model), model, rows, settings.is_cuda)
            for rows in sizes
        }
        for model in settings.models
    }


def several_processes(settings: Settings) -> Found:
    """The rows a second of several processes at once, each with the tracker and batches of 4."""
    found: Found = {}
    for count in settings.processes:
        command = [
            *(sys.executable, "-m", "tests.bench.gpu_check", "step", "one_process"),
            *("--store", str(settings.store), "--device", settings.device),
            *("--seconds", str(settings.seconds)),
        ]
        children = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        replies = _together(children)
        found[str(count)] = {
            "rows_per_second": round(sum(one["rows_per_second"] for one in replies), 1),
            "median_ms": [one["median_ms"] for one in replies],
        }
    return found


def one_process(settings: Settings) -> Found:
    """One of several: says when it is warm, and begins when it is told to."""
    sessions = Sessions(settings.handler("track"), "track", 4)
    sessions.step()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    return sessions.time(settings.seconds)


def out_of_memory(settings: Settings) -> Found:
    """A batch that the memory does not hold: its halves are answered, and so is the next one."""
    if not settings.is_cuda:
        return NO_GPU
    handler = settings.handler("track")
    row = face_row("track")
    handler.handle([row])
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(settings.device).total_memory
    share = torch.cuda.memory_reserved() * SHARE_AFTER_LOADING / total
    torch.cuda.set_per_process_memory_fraction(share, settings.device)
    replies = [unpack(reply) for reply in handler.handle([row] * 32)]
    torch.cuda.set_per_process_memory_fraction(1.0, settings.device)
    after = unpack(handler.handle([row])[0])
    return {
        "rows": len(replies),
        "refused": [reply["error"] for reply in replies if "error" in reply][:3],
        "next_is_answered": "error" not in after,
    }


def device_assert(settings: Settings) -> Found:
    """A kernel that fails: the handler says so, and nothing computes in the process any more."""
    if not settings.is_cuda:
        return NO_GPU
    handler = settings.handler("track")
    compute = handler.compute

    def failing(items: Sequence[Any]) -> Any:
        torch.zeros(2, device=settings.device)[torch.tensor([9], device=settings.device)].cpu()
        return compute(items)

    handler.compute = failing  # type: ignore[method-assign]
    try:
        handler.handle([face_row("track")])
    except DeviceFault as error:
        told_as = str(error).splitlines()[0]
    else:
        return {"failed": "the fault was not noticed"}
    try:
        touch(settings.device)
    except torch.AcceleratorError as error:
        return {"told_as": told_as, "then": str(error).splitlines()[0]}
    return {"told_as": told_as, "then": "the device computes again"}


STEPS: Mapping[str, Callable[[Settings], Found]] = {
    "facts": facts,
    "same_answers": same_answers,
    "states_across": states_across,
    "loading": loading,
    "bare_steps": bare_steps,
    "transfers": transfers,
    "cuda_graphs": cuda_graphs,
    "several_processes": several_processes,
    "out_of_memory": out_of_memory,
    "device_assert": device_assert,
}
# What steps start themselves.
INNER: Mapping[str, Callable[[Settings], Found]] = {"one_process": one_process}


def run_step(name: str, settings: Settings) -> Found:
    """Carry one out in this process, with the engine and precision of a worker."""
    step = {**STEPS, **INNER}[name]
    chosen.engine = TORCH
    if settings.is_cuda:
        torch.cuda.set_device(settings.device)
        prepare_gpu()
    return step(settings)


def _judged(one: Any, other: Any) -> Found:
    found = apart(one, other)
    return {**found, "is_alike": are_alike(found)}


def _together(children: Sequence["subprocess.Popen[str]"]) -> list[Found]:
    """Let children begin once all of them are ready; what each found."""
    with _ended(children):
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise RuntimeError("a process did not get ready")
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        return [json.loads(child.communicate()[0]) for child in children]


@contextmanager
def _ended(children: Sequence["subprocess.Popen[str]"]) -> Iterator[None]:
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.communicate()
