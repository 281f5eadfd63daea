"""Names of models to predictors, built from the model store."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from handlers.checkpoint import (
    CONFIG_FILE,
    Checkpoint,
    CheckpointError,
    load_arrays,
    load_checkpoint,
    save_checkpoint,
)
from handlers.engines.load import load_engine
from handlers.networks.affect import (
    FACE,
    VARIANTS,
    AffectConfig,
    AffectNetworks,
    Networks,
    build,
)
from handlers.networks.box_tracker import BoxTracker
from handlers.networks.expressions import ExpressionNetwork
from handlers.networks.face_validator import FaceValidator
from handlers.networks.fuse import fuse
from handlers.networks.speech import SpeechNetwork
from handlers.networks.voice import VoiceNetwork
from handlers.predictors.affect.conditional import ConditionalEstimator
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.expressions import Calibration, ExpressionEstimator
from handlers.predictors.affect.face_voice import FaceVoiceEstimator
from handlers.predictors.affect.inputs import DescriptorScale
from handlers.predictors.affect.latent import LatentEstimator
from handlers.predictors.affect.speech import SpeechDetector
from handlers.predictors.affect.voice import VoiceEstimator
from handlers.predictors.alignment import AlignmentOptions, AlignmentPredictor, Trust
from handlers.predictors.detection.detector import FaceDetector
from handlers.predictors.tracking.networks import TrackingNetworks
from handlers.predictors.tracking.options import VARIANTS as TRACKERS
from handlers.predictors.tracking.options import TrackingSettings, Variant
from handlers.processing.audio_descriptors import need_extractor
from handlers.processing.head import HeadModel
from handlers.processing.pose import PoseEstimator

# What is made of two variants and has no weights of its own.
FACE_VOICE = "face-voice"
JOINED: Mapping[str, tuple[str, ...]] = {FACE_VOICE: ("expressions", "voice")}
NO_ALIGNMENT = ""
FACE_SHAPE = "face_shape"
HEAD = ("head_mean", "head_modes", "head_spread")


@dataclass(frozen=True)
class StoredAligner:
    """An alignment predictor, and the checkpoint that it was built from, emptied."""

    predictor: AlignmentPredictor
    checkpoint: Checkpoint


def load_aligner(store: Path, name: str, device: str = "cpu") -> StoredAligner:
    """Build the alignment model `name` of the store: "dfa", "fle", "fadenn-m" and others.

    Raises CheckpointError where the store has no such model or it has no landmark network.
    """
    engine, checkpoint = load_engine(store / name, device)
    config = checkpoint.config
    if config.get("landmarks") is None:
        raise CheckpointError(f"{store / name}: no alignment model, it has no landmark network")
    classes = tuple((config["denoiser"] or {}).get("classes", ()))
    trust = Trust(**config.get("trust", {}))
    options = AlignmentOptions(config["context"], config["crop_px"], classes, trust=trust)
    return StoredAligner(AlignmentPredictor(engine, options), checkpoint)


def load_detector(store: Path, device: str = "cpu") -> FaceDetector:
    """Build the face detector of the store. Raises CheckpointError where there is none."""
    engine, checkpoint = load_engine(store / "mtcnn", device)
    return FaceDetector.from_config(engine, checkpoint.config)


def load_pose(store: Path) -> PoseEstimator:
    """Build the estimator of head poses. Raises CheckpointError where the store has no head."""
    arrays = load_arrays(store / FACE_SHAPE)
    if missing := [name for name in HEAD if name not in arrays]:
        raise CheckpointError(f"{store / FACE_SHAPE}: lacks {', '.join(missing)}")
    return PoseEstimator(HeadModel(*(arrays[name] for name in HEAD)))


def load_speech_detector(store: Path, device: str = "cpu") -> SpeechDetector:
    """Build the speech detector of the store. Raises CheckpointError where there is none."""
    network, checkpoint = SpeechNetwork(), load_checkpoint(store / "silero")
    try:
        network.load_state_dict(checkpoint.tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{store / 'silero'}: no speech detector ({error})") from error
    return SpeechDetector(network.eval().to(device), device)


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


def has_estimator(folder: Path) -> bool:
    """Whether a model store has all of a variant."""
    needed = JOINED.get(folder.name, (folder.name,))
    return all((folder.parent / name / CONFIG_FILE).is_file() for name in needed)


def load_estimator(folder: Path, device: str = "cpu") -> tuple[Estimator, Checkpoint]:
    """A variant as it is served, and its checkpoint, emptied.

    Raises CheckpointError, and MissingExtra without opensmile.
    """
    if folder.name == FACE_VOICE:
        return _join(*(load_estimator(folder.parent / name, device) for name in JOINED[FACE_VOICE]))
    networks, checkpoint = load_affect(folder)
    return serve(networks, checkpoint.config, device), checkpoint.emptied()


def _join(
    face: tuple[Estimator, Checkpoint], voice: tuple[Estimator, Checkpoint]
) -> tuple[Estimator, Checkpoint]:
    """The face's checkpoint, by both hashes: a state depends on both."""
    (seeing, seen), (hearing, heard) = face, voice
    if not isinstance(seeing, ExpressionEstimator) or not isinstance(hearing, VoiceEstimator):
        raise CheckpointError(f"{FACE_VOICE} is made of {' and '.join(JOINED[FACE_VOICE])}")
    sha256 = hashlib.sha256((seen.sha256 + heard.sha256).encode()).hexdigest()
    return FaceVoiceEstimator(seeing, hearing), replace(seen, name=FACE_VOICE, sha256=sha256)


def serve(networks: Networks, config: Mapping[str, Any], device: str = "cpu") -> Estimator:
    """Networks with their checkpoint's configuration, as an estimator; folds them in place."""
    if isinstance(networks, VoiceNetwork):
        return VoiceEstimator(networks, device)
    fuse(networks.eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    context = float(config["context"]) if FACE in networks.config.modalities else 1.0
    if isinstance(networks, ExpressionNetwork):
        return ExpressionEstimator(networks, context, _calibration(config), device)
    if isinstance(networks, AffectNetworks):
        return LatentEstimator(networks, context, device)
    return ConditionalEstimator(networks, context, _scale(networks.config, config), device)


def _calibration(config: Mapping[str, Any]) -> Calibration:
    try:
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.get("calibration", {}).items()
        }
        return Calibration(**given)
    except TypeError as error:
        raise CheckpointError(f"calibration of the expression network: {error}") from error


def _scale(network: AffectConfig, config: Mapping[str, Any]) -> DescriptorScale | None:
    if not network.conditioned:
        return None
    need_extractor()
    mean, std = (np.asarray(config["descriptors"][name], np.float32) for name in ("mean", "std"))
    return DescriptorScale(mean, std)


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def read_settings(config: Mapping[str, Any]) -> TrackingSettings:
    """The thresholds and contexts of a checkpoint; raises KeyError where one is missing."""
    return TrackingSettings(
        **{field.name: config[field.name] for field in fields(TrackingSettings)}
    )


def read_variants(config: Mapping[str, Any]) -> dict[str, Variant]:
    """The variants that can be served with the configured landmark network."""
    usable = (NO_ALIGNMENT, config["alignment"])
    return {name: variant for name, (needed, variant) in TRACKERS.items() if needed in usable}


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
