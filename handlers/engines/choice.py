"""The choice of engine and threads in this process, and the engine of a checkpoint."""

import ctypes
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
    """The networks of the checkpoint in `folder`, and the checkpoint without its tensors.

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
    """The parts that there are graphs of, made for these very weights."""
    told: Mapping[str, Any] = checkpoint.config.get(GRAPHS, {})
    return list(told["parts"]) if told.get("weights") == checkpoint.sha256 else []
