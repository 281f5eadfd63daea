"""A tracker's checkpoint to its networks, settings and variants."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from handlers.networks.box_tracker import BoxTracker
from handlers.networks.face_validator import FaceValidator
from handlers.networks.fuse import fuse
from handlers.predictors.tracking.networks import TrackingNetworks
from handlers.predictors.tracking.options import VARIANTS, TrackingSettings, Variant

NO_ALIGNMENT = ""


def read_settings(config: Mapping[str, Any]) -> TrackingSettings:
    """The thresholds and contexts of a checkpoint; raises KeyError where one is missing."""
    return TrackingSettings(
        **{field.name: config[field.name] for field in fields(TrackingSettings)}
    )


def read_variants(config: Mapping[str, Any]) -> dict[str, Variant]:
    """The variants that can be served with the configured landmark network."""
    usable = (NO_ALIGNMENT, config["alignment"])
    return {name: variant for name, (needed, variant) in VARIANTS.items() if needed in usable}


def build_networks(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str = "cpu"
) -> TrackingNetworks:
    """BT from the tensors `tracker.*` and FV from `validator.*`, ready to serve.

    `config["tracker"]` and `config["validator"]` are what the two networks are built from. Raises
    RuntimeError where tensors are missing or do not fit.
    """
    tracker = BoxTracker(**config["tracker"])
    tracker.load_state_dict(_below("tracker.", tensors))
    validator = FaceValidator(**config["validator"])
    validator.load_state_dict(_below("validator.", tensors))
    fuse(tracker.eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = read_settings(config)
    contexts = (settings.tracker_context, settings.validator_context)
    return TrackingNetworks(tracker, validator, contexts, device)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
