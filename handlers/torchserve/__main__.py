"""`python -m handlers.torchserve`: build model directories, serve them, check what is served."""

import argparse
import logging
import signal
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

from handlers.torchserve.models import MODELS, Placement, build_models, servable
from handlers.torchserve.starting import (
    AUTO,
    CUDA_GRAPHS,
    DEVICE,
    DEVICES,
    THREADS,
    WORKERS,
    Server,
    StartError,
    clear,
    count_gpus,
    find_java,
    place,
    prepare,
    read_variable,
    read_workers,
    start,
)
from handlers.torchserve.watching import AskError, Health, describe, keep_running, ping

ADDRESS = "http://127.0.0.1:8080"
PING_S = 5.0
DESCRIBE_S = 10.0
LOG = '{"time":"%(asctime)s","level":"%(levelname)s","logger":"%(name)s","event":"%(message)s"}'


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    logging.basicConfig(level=logging.INFO, format=LOG, stream=sys.stdout)
    given = make_parser().parse_args(arguments)
    try:
        return int(given.run_command(given))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of the three commands."""
    parser = argparse.ArgumentParser(prog="python -m handlers.torchserve", description=__doc__)
    commands = parser.add_subparsers(required=True)
    building = commands.add_parser("build", help="write unpacked model directories")
    building.add_argument("--out", type=Path, default=Path("build/torchserve"))
    serving = commands.add_parser("serve", help="start TorchServe and keep it running")
    for command in (building, serving):
        command.add_argument("--model-store", type=Path, default=Path("model_store"))
        command.add_argument(
            "--device",
            type=_device,
            default=read_variable(DEVICE) or AUTO,
            metavar="{" + ",".join(DEVICES) + "}",
            help=f"`gpu` fails where there is none; default {DEVICE}, else auto",
        )
        command.add_argument(
            "--workers",
            type=_workers,
            default=read_variable(WORKERS),
            help=f"of each model and GPU, as 2 or track=4; default {WORKERS}, else by cores",
        )
        command.add_argument(
            "--threads",
            type=_count,
            default=read_variable(THREADS),
            help=f"of each worker; default {THREADS}, else its share of the cores",
        )
        command.add_argument(
            "--cuda-graphs",
            type=_switch,
            default=read_variable(CUDA_GRAPHS) or "off",
            metavar="{on,off}",
            help=f"whether GPUs compute small networks as graphs; default {CUDA_GRAPHS}, else off",
        )
    checking = commands.add_parser("check", help="ask every model whether it works")
    for command in (serving, checking):
        command.add_argument("--address", default=ADDRESS, help="http://ip:port or unix:/path")
    serving.add_argument("--metrics", help="address of TorchServe's metrics; default in --run")
    serving.add_argument("--run", type=Path, help="directory for sockets and configuration")
    building.set_defaults(run_command=build)
    serving.set_defaults(run_command=serve)
    checking.set_defaults(run_command=check)
    return parser


def build(given: argparse.Namespace) -> int:
    """Write the directories of all models that the store has weights for."""
    names = _models_of(given.model_store)
    build_models(given.out, names, _placement(given, names, _gpus(given)))
    sys.stdout.write(f"{given.out}: {', '.join(names)}\n")
    return 0


def serve(given: argparse.Namespace) -> int:
    """Run TorchServe until SIGTERM or SIGINT."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    find_java()
    names, gpus = _models_of(given.model_store), _gpus(given)
    with tempfile.TemporaryDirectory(prefix="countenance-") as own:
        run = (given.run or Path(own)).resolve()
        placement = _placement(given, names, gpus)
        server = Server(given.address, run, tuple(names), placement, gpus, given.metrics)
        prepare(server)
        keep_running(partial(start, server), Health(given.address, tuple(names)), stopping)
        clear(server)
    return 0


def check(given: argparse.Namespace) -> int:
    """Ask the models that answer at all; one that cannot work, or none at all, is a failure."""
    if not ping(given.address, PING_S):
        sys.stdout.write(f"{given.address} does not answer\n")
        return 1
    found = []
    for name in MODELS:
        try:
            about = describe(given.address, name, DESCRIBE_S)
            found.append((True, f"{name} {about['description'].get('version')} {about['device']}"))
        except AskError as error:
            if not error.missing:
                found.append((False, f"{name}: {error}"))
    sys.stdout.write("\n".join(line for _, line in found) + "\n")
    return 0 if found and all(works for works, _ in found) else 1


def _device(text: str) -> str:
    if text not in DEVICES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(DEVICES)}")
    return text


def _workers(text: str) -> dict[str, int]:
    try:
        return read_workers(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither on nor off")
    return text == "on"


def _count(text: str) -> int:
    if not text.isdecimal() or (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return number


def _models_of(store: Path) -> list[str]:
    if not (names := servable(store)):
        raise StartError(f"{store.resolve()} has the weights of no model")
    return names


def _gpus(given: argparse.Namespace) -> int:
    return count_gpus(given.device)


def _placement(given: argparse.Namespace, names: list[str], gpus: int) -> Placement:
    asked = (given.workers, given.threads, given.cuda_graphs)
    return place(given.model_store, names, gpus, *asked)


if __name__ == "__main__":
    raise SystemExit(main())
