"""The served models: each one's handler, the weights it needs, and how much comes at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

WEIGHTS_FILE = "weights.safetensors"
CORES_A_GPU_WORKER = 2


@dataclass(frozen=True)
class Served:
    """One model: where its handler is, and which folders of the store it is built from.

    A request has up to `rows` rows; one that takes longer than `response_timeout_s` costs the
    worker its life. Without a GPU there is a worker for each core, `cpu_workers` at most. A GPU has
    one for every `CORES_A_GPU_WORKER` cores of its share, one at least and `gpu_workers` at most: a
    worker is one interpreter, which decodes and packs while the GPU waits. There are `least` at
    least: where one may be at a large picture for seconds, another answers the rest.
    """

    module: str
    handler: str
    weights: tuple[str, ...]
    rows: int
    response_timeout_s: int
    cpu_workers: int = 1
    gpu_workers: int = 1
    least: int = 1


MODELS: Mapping[str, Served] = {
    "align": Served(
        "handlers.align", "AlignHandler", ("dfa", "face_shape", "mtcnn"), 8, 60, least=2
    ),
    "track": Served(
        "handlers.track",
        "TrackHandler",
        ("dcrt", "face_shape", "mtcnn"),
        16,
        20,
        cpu_workers=4,
        gpu_workers=6,
    ),
    "affect": Served(
        "handlers.affect",
        "AffectHandler",
        ("avi-gas", "dcrt", "face_shape", "mtcnn", "silero"),
        8,
        60,
        gpu_workers=2,
    ),
}


def servable(store: Path, models: Mapping[str, Served] = MODELS) -> list[str]:
    """The models whose weights are all in the store."""
    return [
        name
        for name, served in models.items()
        if all((store / folder / WEIGHTS_FILE).is_file() for folder in served.weights)
    ]
