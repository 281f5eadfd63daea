"""Affect networks to checkpoints and back, for training and evaluation to go on with."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from handlers.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from handlers.engines.torch_engine import build_network
from handlers.networks.affect import Networks
from handlers.networks.variants import VARIANTS


def save_affect(
    networks: Networks, folder: Path, config: Mapping[str, Any], version: str = "1"
) -> Checkpoint:
    """Write a variant's checkpoint; `folder` is called as the variant, such as `avi-gas`.

    Weights are kept in half precision. `config` needs `"context"` (how many times wider than the
    landmarks' box the face crop is), for networks that hear descriptors `"descriptors"`
    (`{"mean": [50], "std": [50]}`), and by convention `"licence"` and `"figures"`;
    `"network"` is written here. Raises CheckpointError for a folder that no variant is called like.
    """
    if folder.name not in VARIANTS:
        raise CheckpointError(f"{folder.name} is no variant: {', '.join(VARIANTS)}")
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in networks.state_dict().items()
    }
    content = {"network": asdict(networks.config), **config}
    return save_checkpoint(folder, folder.name, version, content, tensors)


def load_affect(folder: Path) -> tuple[Networks, Checkpoint]:
    """The networks of a checkpoint in single precision, for training and evaluation to go on with.

    Raises CheckpointError for a checkpoint that is none of affect.
    """
    checkpoint = load_checkpoint(folder)
    if "network" not in checkpoint.config:
        raise CheckpointError(f"{folder}: no affect model, it names no network")
    networks, _ = build_network(checkpoint)
    assert isinstance(networks, Networks)
    return networks, checkpoint
