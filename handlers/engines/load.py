"""A checkpoint to the engine that computes its networks."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from handlers.checkpoint import Checkpoint, CheckpointError, load_checkpoint, read_checkpoint
from handlers.engines.base import Engine
from handlers.engines.choice import CPU, ONNX, TORCH, chosen, threads

GRAPHS = "graphs"


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
