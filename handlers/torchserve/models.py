"""What is served: each model's handler, the weights it needs, and how its rows are gathered."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class Served:
    """One model: where its handler is, and which folders of the store it is built from.

    TorchServe gathers up to `batch_size` rows and waits `max_batch_delay_ms` for them; a batch that
    takes longer than `response_timeout_s` costs the worker its life.
    """

    module: str
    handler: str
    weights: tuple[str, ...]
    batch_size: int
    max_batch_delay_ms: int
    response_timeout_s: int


MODELS: Mapping[str, Served] = {
    "align": Served("handlers.align", "AlignHandler", ("dfa", "face_shape", "mtcnn"), 8, 2, 60),
    "track": Served("handlers.track", "TrackHandler", ("dcrt", "mtcnn"), 16, 1, 20),
    "affect": Served("handlers.affect", "AffectHandler", ("avi-gas", "dcrt", "mtcnn"), 8, 2, 60),
}


def servable(store: Path, models: Mapping[str, Served] = MODELS) -> list[str]:
    """The models whose weights are all in the store."""
    return [
        name
        for name, served in models.items()
        if all((store / folder / WEIGHTS_FILE).is_file() for folder in served.weights)
    ]
