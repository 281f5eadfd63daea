"""The choice of engine and threads in this process, the engine of a checkpoint, and who goes first.

Independent computations of one question run side by side where a core is free. A thread that has
stepped back gets what processor time the others leave; what it computes beside itself does so, too.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import cv2

from handlers.checkpoint import Checkpoint, CheckpointError, load_checkpoint, read_checkpoint
from handlers.engines.base import Engine

AUTO, ONNX, TORCH = "auto", "onnxruntime", "torch"
CPU, CUDA = "cpu", "cuda"
NVIDIA_DRIVERS = ("libcuda.so.1", "nvcuda.dll")
# glibc's names of its settings, and their values: by itself it comes to keep buffers of up to
# 32 MiB each, of which those of large pictures leave holes that nothing fits into.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEPT_BYTES, GIVEN_BACK_BYTES = 64 * 2**20, 8 * 2**20
ARENAS = 2
GRAPHS = "graphs"
Result = TypeVar("Result")
LAST = 19
# Elsewhere a thread has no priority of its own.
HAS_PRIORITIES = sys.platform == "linux"


@dataclass
class Choice:
    """The engine, and the threads of each computation; None leaves them to the libraries.

    `cuda_graphs` says whether GPUs compute small networks as graphs.
    """

    engine: str = AUTO
    threads: int | None = None
    cuda_graphs: bool = False


chosen = Choice()


def choose(threads: int, engine: str | None = None) -> None:
    """Set threads and, where given, the engine of models that are loaded from now on."""
    chosen.threads, chosen.engine = threads, engine or chosen.engine
    cv2.setNumThreads(threads)
    _give_back_large_buffers()
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)


def threads() -> int:
    """Return the number of threads of a computation: as chosen, else one for each core."""
    return chosen.threads or len(os.sched_getaffinity(0))


def resolve_device(device: str) -> str:
    """Return the device's name, `auto` being CUDA where torch and an NVIDIA GPU are at hand.

    torch is large and slow to import: without a driver it is not asked.
    """
    if device != AUTO:
        return device
    if chosen.engine == ONNX or find_spec(TORCH) is None or not _has_driver():
        return CPU
    import torch

    return CUDA if torch.cuda.is_available() else CPU


def trim() -> None:
    """Give back what glibc keeps of freed memory: after what took much more than what follows."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _give_back_large_buffers() -> None:
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_MMAP_THRESHOLD, GIVEN_BACK_BYTES)
        # Each thread's own would keep as much again.
        libc.mallopt(M_ARENA_MAX, ARENAS)


def _has_driver() -> bool:
    for name in NVIDIA_DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def load_engine(folder: Path, device: str = CPU) -> tuple[Engine, Checkpoint]:
    """Load the networks of the checkpoint in `folder`, and the checkpoint without its tensors.

    On a processor ONNX Runtime computes them, one engine for all who ask, unless torch is asked for
    by `chosen`, or has to, as there are no graphs of these very weights; on any other device torch
    does. Raises CheckpointError for a checkpoint that is damaged, and where neither is at hand.
    """
    checkpoint = read_checkpoint(folder)
    parts = graphs(checkpoint)
    if device == CPU and chosen.engine != TORCH and parts:
        from handlers.engines.onnx_engine import shared_engine

        return shared_engine(folder, checkpoint.sha256, parts, threads()), checkpoint
    if chosen.engine == ONNX or find_spec(TORCH) is None:
        raise CheckpointError(
            f"{folder} has no graphs of its weights for a processor: `countenance export "
            f"{folder.name}` writes them, where torch is installed"
        )
    from handlers.engines.torch_engine import load_torch_engine

    return load_torch_engine(load_checkpoint(folder), device), checkpoint


def graphs(checkpoint: Checkpoint) -> list[str]:
    """Return the parts that there are graphs of, made for these very weights."""
    told: Mapping[str, Any] = checkpoint.config.get(GRAPHS, {})
    return list(told["parts"]) if told.get("weights") == checkpoint.sha256 else []


def run_all(calls: Sequence[Callable[[], Result]], in_parallel: bool) -> list[Result]:
    """Make all calls, results in order; in parallel the first is made here, the others beside it.

    What no other thread has begun by then is made here, too: where all cores have work, nothing is
    waited for. Engines give up Python's lock while they compute. Raises what a call raises.
    """
    if not in_parallel:
        return [call() for call in calls]
    waiting = [others().submit(call) for call in calls[1:]]
    try:
        results = [call() for call in calls[:1]]
        for call, future in zip(calls[1:], waiting, strict=True):
            # What could be cancelled has not begun: waiting for it would take longer.
            results.append(call() if future.cancel() else future.result())
    finally:
        for future in waiting:
            future.cancel()
    return results


def step_back(to: int) -> None:
    """Lower this thread's priority for good: 0 is the usual one, 19 the last."""
    if HAS_PRIORITIES and to > niceness():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(to, LAST))


def niceness() -> int:
    """Return how far this thread has stepped back."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if HAS_PRIORITIES else 0


def others() -> ThreadPoolExecutor:
    """Return the threads that compute beside this one, of the same priority."""
    return _others(niceness())


@cache
def _others(to: int) -> ThreadPoolExecutor:
    """Return the threads that compute beside those of this priority."""
    most = max(len(os.sched_getaffinity(0)) - 1, 1)
    return ThreadPoolExecutor(most, "computing-beside", step_back, (to,))
