"""Names of models to predictors, built from the model store."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from handlers.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from handlers.networks.align import AlignmentNetwork
from handlers.networks.fuse import fuse
from handlers.networks.mtcnn import MTCNN
from handlers.predictors.alignment import AlignmentOptions, AlignmentPredictor
from handlers.predictors.detection.detector import FaceDetector


@dataclass(frozen=True)
class StoredAligner:
    """An alignment predictor, and the checkpoint that it was built from, emptied."""

    predictor: AlignmentPredictor
    checkpoint: Checkpoint


def load_aligner(store: Path, name: str, device: str = "cpu") -> StoredAligner:
    """Build the alignment model `name` of the store: "dfa", "fle", "fadenn-m" and others.

    Raises CheckpointError where the store has no such model or it has no landmark network.
    """
    checkpoint = load_checkpoint(store / name, device)
    config = checkpoint.config
    if config.get("landmarks") is None:
        raise CheckpointError(f"{store / name}: no alignment model, it has no landmark network")
    network = AlignmentNetwork(config["landmarks"], config["denoiser"])
    _fill(network, checkpoint)
    fuse(network.eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    options = AlignmentOptions(config["context"], config["crop_px"])
    return StoredAligner(AlignmentPredictor(network, options, device), checkpoint.emptied())


def load_detector(store: Path, device: str = "cpu") -> FaceDetector:
    """Build the face detector of the store. Raises CheckpointError where there is none."""
    checkpoint = load_checkpoint(store / "mtcnn", device)
    network = MTCNN()
    _fill(network, checkpoint)
    return FaceDetector.from_config(network.eval(), checkpoint.config, device)


def _fill(network: nn.Module, checkpoint: Checkpoint) -> None:
    try:
        network.load_state_dict(checkpoint.tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights of {checkpoint.name!r} do not fit its configuration: {error}"
        ) from error
