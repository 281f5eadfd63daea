"""The served models: handlers, weights, the first batch of each, and TorchServe's directories.

A directory holds no weights, only where they are: a shim, a manifest and a configuration.
"""

import json
import logging
import shutil
import time
import wave
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.base import Handler
from handlers.engines.base import padded
from handlers.wire import pack, unpack

# NASA's portrait of the astronaut Eileen Collins, public domain, 160 x 160: every network works.
FACE = Path(__file__).with_name("face.jpg")
# A second of vowels by a formant synthesiser, 22 050 Hz: noise would be no speech.
VOICE = Path(__file__).with_name("voice.wav")
logger = logging.getLogger(__name__)
RATE_HZ = 25.0
WEIGHTS_FILE = "weights.safetensors"
CORES_A_GPU_WORKER = 2
SHIM, CONFIG = "countenance_model.py", "model-config.yaml"
STARTUP_TIMEOUT_S, RETRY_TIMEOUT_S = 180, 60
QUEUE_REQUESTS = 1024


def warm_up(handler: Handler[Any], model: str, sizes: Iterable[int]) -> None:
    """Answer a face in a batch of each size; raises RuntimeError for a refusal."""
    started = time.monotonic()
    row = face_row(model)
    for rows in sizes:
        for reply in handler.handle([row] * rows):
            if (error := unpack(reply).get("error")) is not None:
                raise RuntimeError(f"a first picture is refused: {error['detail']}")
    logger.info("%s warm after %.1f s", model, time.monotonic() - started)


def sizes_of(batch_size: int, on_gpu: bool) -> list[int]:
    """Return the batch sizes to warm up: one row and a full batch.

    A GPU plans for each size: there it is every size that batches are padded to, up to twice the
    batch, as a row may have several faces.
    """
    if not on_gpu:
        return sorted({1, batch_size})
    return sorted({padded(rows) for rows in range(1, 2 * batch_size + 1)})


def face_row(model: str, step: int = 0, state: bytes | None = None) -> bytes:
    """Pack a request of one face, the first of a session or a later one with the state before it.

    For `affect` the first has a second of speech, so that it hears too.
    """
    image = FACE.read_bytes()
    inputs: dict[str, Any] = {"image": image}
    if model == "affect":
        sound = None if step else {"start": 0, "pcm": _speech()}
        inputs = {"frames": [image], "times_s": [step / RATE_HZ], "sound": sound}
    row: dict[str, Any] = {"inputs": inputs, "options": {}}
    return pack(row if state is None else {**row, "state": state})


def _speech() -> NDArray[np.int16]:
    with wave.open(str(VOICE)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


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
    """Return the models whose weights are all in the store."""
    return [
        name
        for name, served in models.items()
        if all((store / folder / WEIGHTS_FILE).is_file() for folder in served.weights)
    ]


@dataclass(frozen=True)
class Placement:
    """The places of a store's models: workers of each, threads of a worker, on which device.

    A model that `workers` does not name has one. Workers on GPUs are dealt out to them in turn;
    with `cuda_graphs` they compute small networks as CUDA graphs.
    """

    store: Path
    workers: Mapping[str, int] = field(default_factory=dict)
    threads: int = 1
    on_gpu: bool = False
    cuda_graphs: bool = False


def build_models(
    out: Path,
    names: Sequence[str],
    placement: Placement,
    models: Mapping[str, Served] = MODELS,
) -> None:
    """Write a directory for each of `names` into `out`, replacing what was there."""
    for name in names:
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name / "MAR-INF").mkdir(parents=True)
        # JSON is YAML too, and needs no writer of its own.
        config = json.dumps(model_config(name, models[name], placement), indent=2)
        (out / name / CONFIG).write_text(config + "\n", encoding="utf-8")
        manifest = json.dumps(manifest_of(name), indent=2)
        (out / name / "MAR-INF" / "MANIFEST.json").write_text(manifest + "\n", encoding="utf-8")
        shutil.copyfile(Path(__file__).with_name("shim.py"), out / name / SHIM)


def manifest_of(name: str) -> dict[str, Any]:
    """Return TorchServe's manifest; versions are in the weights and not here."""
    model = {"modelName": name, "modelVersion": "1.0", "handler": SHIM, "configFile": CONFIG}
    return {"runtime": "python", "archiverVersion": "0.12.0", "model": model}


def model_config(name: str, served: Served, placement: Placement) -> dict[str, Any]:
    """Return TorchServe's settings of one model, and below `countenance` the adaptor's."""
    workers = placement.workers.get(name, 1)
    return {
        "minWorkers": workers,
        "maxWorkers": workers,
        # The service gathers rows into requests. TorchServe would make a request wait for others,
        # at least for a millisecond: a delay of 0 it takes for its default, a tenth of a second.
        "batchSize": 1,
        "responseTimeout": served.response_timeout_s,
        "startupTimeout": STARTUP_TIMEOUT_S,
        "maxRetryTimeoutInSec": RETRY_TIMEOUT_S,
        "jobQueueSize": QUEUE_REQUESTS,
        "deviceType": "gpu" if placement.on_gpu else "cpu",
        "countenance": {
            "model_store": str(placement.store.resolve()),
            "threads": placement.threads,
            "workers": workers,
            "rows": served.rows,
            "on_gpu": placement.on_gpu,
            "cuda_graphs": placement.cuda_graphs,
        },
    }
