"""Small affect models with random weights, moving faces and a voice to try them with."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.affect import AffectParts
from handlers.checkpoint import Checkpoint, save_checkpoint
from handlers.networks.affect import Networks, build
from handlers.networks.variants import SPEECH_CONTEXT, variant
from handlers.predictors.affect.predictor import AffectPredictor
from handlers.predictors.affect.speech import SpeechDetector
from handlers.predictors.tracking.options import TrackingSettings
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.processing.mel import RATE_HZ
from handlers.store import load_estimator
from handlers.training.recipe import halved
from tests.handlers.engine_fakes import FunctionEngine
from tests.handlers.tracking_fakes import (
    Faces,
    ScriptedAligner,
    ScriptedDetector,
    ScriptedNetworks,
    box,
    numbered,
)

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Pcm = NDArray[np.int16]

SETTINGS = TrackingSettings(2.0, 1.3, t_b=1.0, t_c=0.5, seq_bt=8, patience=5)
FACES: Faces = {number: [box(100 + number, 100)] for number in range(40)}
SCALE = {"mean": [0.0] * 50, "std": [1.0] * 50}
RATE = 25.0
GAIN = 2.5


def networks(name: str, size: str = "tiny", seed: int = 0) -> Networks:
    """Random networks in which every input makes a difference: weights larger than at a start."""
    torch.manual_seed(seed)
    built = build(variant(name, size)).eval()
    with torch.no_grad():
        for key, parameter in built.named_parameters():
            if "context" in key:
                parameter.normal_(std=0.5)
            elif parameter.ndim > 1 and not key.startswith("branches"):
                parameter.mul_(GAIN)
    return built


def save_affect(
    networks: Networks, folder: Path, config: Mapping[str, Any], version: str = "1"
) -> Checkpoint:
    """Write a variant's checkpoint as a recipe does; the folder is called as the variant."""
    content = {"network": asdict(networks.config), **config}
    return save_checkpoint(folder, folder.name, version, content, halved(networks.state_dict()))


def save(folder: Path, size: str = "tiny", seed: int = 0, **config: Any) -> Checkpoint:
    content = {"context": 1.4, "descriptors": SCALE, "licence": "Apache-2.0", **config}
    return save_affect(networks(folder.name, size, seed), folder, content)


def parts(
    store: Path, *names: str, faces: Faces = FACES, lost: Mapping[int, float] | None = None
) -> AffectParts:
    """Variants of a store, behind a tracker that follows the script."""
    loaded = {name: load_estimator(store / name) for name in names}
    tracker = TrackingPredictor(
        ScriptedNetworks(faces, lost), ScriptedDetector(faces), ScriptedAligner(), SETTINGS
    )
    estimators = {name: estimator for name, (estimator, _) in loaded.items()}
    checkpoints = {name: checkpoint for name, (_, checkpoint) in loaded.items()}
    dcrt = Checkpoint("dcrt", "1", {}, {}, "ab" * 32)
    return AffectParts(AffectPredictor(estimators, tracker, loud_detector()), checkpoints, dcrt)


def loud_detector() -> SpeechDetector:
    """A detector that takes for speech what is not silent."""
    return SpeechDetector(FunctionEngine(encode=_loudness, step=_is_loud))


def _loudness(samples: Floats) -> dict[str, Floats]:
    return {"features": np.abs(samples[:, SPEECH_CONTEXT:]).max(axis=1, keepdims=True)}


def _is_loud(features: Floats, h: Floats, c: Floats) -> dict[str, Floats]:
    speech = (features[:, 0] > 0.001).astype(np.float32)
    return {"speech": speech, "next_h": h, "next_c": c}


def frame(number: int, seed: int = 0) -> Image:
    """Noise before a wall that is the same in all frames; it carries its number for the script."""
    wall = np.linspace(0, 127, 320).astype(np.uint8)[None, :, None]
    noise = np.random.default_rng((number, seed)).integers(0, 128, (240, 320, 3), np.uint8)
    picture = np.asarray(noise + wall, np.uint8)
    picture[0, 0] = numbered(number)[0, 0]
    return picture


def voice(seconds: float, seed: int = 0, start_s: float = 0.0) -> Pcm:
    """A tone that wanders and swells over noise; the same moment always sounds the same."""
    first, count = round(start_s * RATE_HZ), round(seconds * RATE_HZ)
    time_s = np.arange(first, first + count) / RATE_HZ
    tone = np.sin(2 * np.pi * (220 + 40 * np.sin(3 * time_s + seed)) * time_s)
    swell = 4000 * (1 + np.sin(2 * time_s)) + 300
    return np.asarray(tone * swell, np.int16)
