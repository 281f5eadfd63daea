"""Names of models to the predictors that are served, loaded from the model store.

Imports are inside the functions: reports and their tests do without torch.
"""

from pathlib import Path

from handlers.evaluation.align.running import Aligner, Detector

MODELS = ("dfa", "fle", "fle-augmented", "fadenn-m", "fadenn-s", "fadenn-d", "fll", "fll-augmented")


def stored_models(model_store: Path) -> tuple[str, ...]:
    """The alignment models that the store holds. Raises ValueError if it holds none."""
    names = tuple(name for name in MODELS if (model_store / name).is_dir())
    if not names:
        raise ValueError(f"{model_store}: holds none of {', '.join(MODELS)}")
    return names


def stored_aligner(model_store: Path, name: str, device: str = "cpu") -> tuple[Aligner, str]:
    """A served predictor and the SHA-256 of its weights.

    Raises CheckpointError if the store has no such model.
    """
    from handlers.store import load_aligner

    stored = load_aligner(model_store, name, device)
    return stored.predictor, stored.checkpoint.sha256


def stored_detector(model_store: Path, device: str = "cpu") -> Detector:
    """The served detector. Raises CheckpointError if the store has none."""
    from handlers.store import load_detector

    return load_detector(model_store, device)
