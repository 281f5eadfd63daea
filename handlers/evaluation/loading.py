"""Names of models to the predictors that are served, loaded from the model store."""

import hashlib
from pathlib import Path

from handlers.evaluation.running import Aligner, Detector

MODELS = ("dfa", "fle", "fle-augmented", "fadenn-m", "fadenn-s", "fadenn-d", "fll", "fll-augmented")


def stored_models(model_store: Path) -> tuple[str, ...]:
    """The alignment models that the store holds."""
    names = tuple(name for name in MODELS if (model_store / name).is_dir())
    if not names:
        raise ValueError(f"{model_store}: holds none of {', '.join(MODELS)}")
    return names


def weights_hash(folder: Path) -> str:
    """SHA-256 of a model's weights. Raises ValueError where the store has no such model."""
    weights = folder / "weights.safetensors"
    if not weights.is_file():
        raise ValueError(f"{folder}: no model there (weights.safetensors is missing)")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def load_aligner(model_store: Path, name: str, device: str = "cpu") -> Aligner:
    """The predictor that is served, from the store."""
    from handlers.predictors.alignment import AlignmentPredictor

    return AlignmentPredictor.from_store(model_store, name, device)


def load_detector(model_store: Path, device: str = "cpu") -> Detector:
    """The detector that is served, from the store."""
    from handlers.predictors.detection import FaceDetector

    return FaceDetector.from_store(model_store, device=device)
