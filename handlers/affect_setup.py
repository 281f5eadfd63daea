"""Affect networks to checkpoints and back, and to what is served of them."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from handlers.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from handlers.networks.affect import (
    FACE,
    VARIANTS,
    AffectConfig,
    AffectNetworks,
    ConditionalNetworks,
    build,
)
from handlers.networks.fuse import fuse
from handlers.predictors.affect.conditional import ConditionalEstimator
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.inputs import DescriptorScale
from handlers.predictors.affect.latent import LatentEstimator
from handlers.processing.audio_descriptors import need_extractor

Networks = AffectNetworks | ConditionalNetworks


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
    try:
        networks = build(AffectConfig.read(checkpoint.config["network"]))
        networks.load_state_dict({name: _single(one) for name, one in checkpoint.tensors.items()})
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"the weights of {checkpoint.name!r} do not fit its configuration: {error}"
        ) from error
    return networks, checkpoint


def load_estimator(folder: Path, device: str = "cpu") -> tuple[Estimator, Checkpoint]:
    """A variant as it is served, and its checkpoint, emptied.

    Raises CheckpointError, and MissingExtra without opensmile.
    """
    networks, checkpoint = load_affect(folder)
    return serve(networks, checkpoint.config, device), checkpoint.emptied()


def serve(networks: Networks, config: Mapping[str, Any], device: str = "cpu") -> Estimator:
    """Networks with their checkpoint's configuration, as an estimator; folds them in place."""
    fuse(networks.eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    context = float(config["context"]) if FACE in networks.config.modalities else 1.0
    if isinstance(networks, AffectNetworks):
        return LatentEstimator(networks, context, device)
    return ConditionalEstimator(networks, context, _scale(networks.config, config), device)


def _scale(network: AffectConfig, config: Mapping[str, Any]) -> DescriptorScale | None:
    if not network.conditioned:
        return None
    need_extractor()
    mean, std = (np.asarray(config["descriptors"][name], np.float32) for name in ("mean", "std"))
    return DescriptorScale(mean, std)


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
