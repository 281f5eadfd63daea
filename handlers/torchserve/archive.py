"""The model store -> unpacked model directories, as TorchServe loads them.

A directory holds no weights, only where they are: a shim, a manifest and a configuration.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlers.torchserve import shim
from handlers.torchserve.models import MODELS, Served

SHIM = "countenance_model.py"
CONFIG = "model-config.yaml"
STARTUP_TIMEOUT_S = 180
RETRY_TIMEOUT_S = 60
QUEUE_REQUESTS = 1024


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
        shutil.copyfile(str(shim.__file__), out / name / SHIM)


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
