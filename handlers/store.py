"""Names of models to predictors, built from the model store."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from handlers.checkpoint import CONFIG_FILE, Checkpoint, CheckpointError, load_arrays
from handlers.engines.base import Engine
from handlers.engines.choice import load_engine
from handlers.networks.variants import FACE, AffectConfig
from handlers.predictors.affect.estimator import DescriptorScale, Estimator
from handlers.predictors.affect.expressions import Calibration, ExpressionEstimator
from handlers.predictors.affect.latent import ConditionalEstimator, LatentEstimator
from handlers.predictors.affect.speech import SpeechDetector
from handlers.predictors.affect.voice import FaceVoiceEstimator, VoiceEstimator
from handlers.predictors.alignment import AlignmentOptions, AlignmentPredictor, Trust
from handlers.predictors.detection.detector import FaceDetector
from handlers.predictors.tracking.networks import TrackingNetworks
from handlers.predictors.tracking.options import VARIANTS as TRACKERS
from handlers.predictors.tracking.options import TrackingSettings, Variant
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.processing.audio_descriptors import need_extractor
from handlers.processing.pose import HeadModel, PoseEstimator

# Made of two variants, without weights of its own.
FACE_VOICE = "face-voice"
JOINED: Mapping[str, tuple[str, ...]] = {FACE_VOICE: ("expressions", "voice")}
NO_ALIGNMENT = ""
FACE_SHAPE = "face_shape"
HEAD = ("head_mean", "head_modes", "head_spread")


@dataclass(frozen=True)
class StoredAligner:
    """An alignment predictor, and its checkpoint without tensors."""

    predictor: AlignmentPredictor
    checkpoint: Checkpoint


def load_aligner(store: Path, name: str, device: str = "cpu", flip: bool = True) -> StoredAligner:
    """Build the alignment model `name` of the store: "dfa", "fle", "fadenn-m" and others.

    Without `flip` landmarks are not averaged with those of the mirror image, which takes twice the
    time. Raises CheckpointError where the store has no such model or it has no landmark network.
    """
    engine, checkpoint = load_engine(store / name, device)
    config = checkpoint.config
    if config.get("landmarks") is None:
        raise CheckpointError(f"{store / name}: no alignment model, it has no landmark network")
    classes = tuple((config["denoiser"] or {}).get("classes", ()))
    trust = Trust(**config.get("trust", {}))
    options = AlignmentOptions(config["context"], config["crop_px"], classes, flip, trust=trust)
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


def load_speech_detector(store: Path) -> SpeechDetector:
    """Build the speech detector of the store, on the processor whatever else computes.

    It takes 31 small steps a second of sound, one after the other; to send each to a GPU and back
    would take longer. Raises CheckpointError where there is none.
    """
    engine, _ = load_engine(store / "silero")
    return SpeechDetector(engine)


def has_estimator(folder: Path) -> bool:
    """Tell whether a model store has all of a variant."""
    needed = JOINED.get(folder.name, (folder.name,))
    return all((folder.parent / name / CONFIG_FILE).is_file() for name in needed)


def load_estimator(folder: Path, device: str = "cpu") -> tuple[Estimator, Checkpoint]:
    """Load a variant as it is served, and its checkpoint without tensors.

    Raises CheckpointError, and MissingExtra without opensmile.
    """
    if folder.name == FACE_VOICE:
        return _join(*(load_estimator(folder.parent / name, device) for name in JOINED[FACE_VOICE]))
    engine, checkpoint = load_engine(folder, device)
    if "network" not in checkpoint.config:
        raise CheckpointError(f"{folder}: no affect model, it names no network")
    return serve(engine, checkpoint.config), checkpoint


def _join(
    face: tuple[Estimator, Checkpoint], voice: tuple[Estimator, Checkpoint]
) -> tuple[Estimator, Checkpoint]:
    """Join both, with the face's checkpoint and a hash of both: a state depends on both."""
    (seeing, seen), (hearing, heard) = face, voice
    if not isinstance(seeing, ExpressionEstimator) or not isinstance(hearing, VoiceEstimator):
        raise CheckpointError(f"{FACE_VOICE} is made of {' and '.join(JOINED[FACE_VOICE])}")
    sha256 = hashlib.sha256((seen.sha256 + heard.sha256).encode()).hexdigest()
    return FaceVoiceEstimator(seeing, hearing), replace(seen, name=FACE_VOICE, sha256=sha256)


def serve(engine: Engine, config: Mapping[str, Any]) -> Estimator:
    """Build the estimator of networks by their checkpoint's configuration."""
    network = AffectConfig.read(config["network"])
    if network.estimator == "voice":
        return VoiceEstimator(engine, config.get("line"), float(config.get("share", 0)))
    context = float(config["context"]) if FACE in network.modalities else 1.0
    if network.estimator == "expressions":
        return ExpressionEstimator(engine, context, _calibration(config), config.get("line"))
    if network.estimator == "combiner":
        return LatentEstimator(engine, network.modalities, context)
    return ConditionalEstimator(engine, context, _scale(network, config))


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


def read_settings(config: Mapping[str, Any]) -> TrackingSettings:
    """Read the thresholds and contexts of a checkpoint; raises KeyError where one is missing."""
    return TrackingSettings(
        **{field.name: config[field.name] for field in fields(TrackingSettings)}
    )


def read_variants(config: Mapping[str, Any]) -> dict[str, Variant]:
    """Return the variants that can be served with the configured landmark network."""
    usable = (NO_ALIGNMENT, config["alignment"])
    return {name: variant for name, (needed, variant) in TRACKERS.items() if needed in usable}


def load_tracking(folder: Path, device: str = "cpu") -> tuple[TrackingNetworks, Checkpoint]:
    """Load BT and FV, and their checkpoint without tensors. Raises CheckpointError."""
    engine, checkpoint = load_engine(folder, device)
    if "tracker" not in checkpoint.config or "validator" not in checkpoint.config:
        raise CheckpointError(f"{folder}: no tracking model, it lacks BT or FV")
    settings = read_settings(checkpoint.config)
    contexts = (settings.tracker_context, settings.validator_context)
    return TrackingNetworks(engine, engine, contexts), checkpoint


def load_tracker(
    store: Path, name: str, device: str = "cpu", **changed: Any
) -> tuple[TrackingPredictor, Checkpoint]:
    """Build a tracker as it is served, but for `changed` settings; also its checkpoint without
    tensors.

    Raises CheckpointError naming what the store lacks.
    """
    networks, checkpoint = load_tracking(store / name, device)
    aligner = load_aligner(store, checkpoint.config["alignment"], device, flip=False).predictor
    settings = replace(read_settings(checkpoint.config), **changed)
    return TrackingPredictor(networks, load_detector(store, device), aligner, settings), checkpoint
