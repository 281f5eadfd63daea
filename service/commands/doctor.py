"""`countenance doctor`: what this machine has, and whether a sample gets its stored answer."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from service.client import CallError
from service.commands.console import EXIT_FAILED, CommandError, out
from service.commands.models import read_store
from service.commands.options import Device, ModelStore, Where, ask, command, settings_with
from service.errors import ConfigurationError
from service.inference.loading import resolve_device
from service.schemas import AlignReply
from service.settings import Settings
from service.telemetry import configure_logging

SAMPLE = Path(__file__).parent / "sample"
PORTRAIT = SAMPLE / "portrait.jpg"
ANSWER = SAMPLE / "answer.json"

# Half precision and other kernels move landmarks by less; a wrong preprocessing by more.
TOLERANCE_PX = 0.5


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `ok` is None where there is nothing to be right or wrong."""

    what: str
    detail: str
    ok: bool | None


@command
def doctor(
    model_store: ModelStore = None,
    device: Device = None,
    keep_answer: Annotated[
        bool, typer.Option("--keep-answer", help="Store the sample's answer as the right one.")
    ] = False,
) -> None:
    """Check device, weights and a sample; exit code 1 if anything is wrong."""
    failed = False
    settings = settings_with(
        model_store=model_store, device=device, log_level="error", log_format="text"
    )
    configure_logging(settings)
    for finding in examine(settings, keep_answer):
        out.print(as_line(finding), highlight=False, soft_wrap=True)
        failed = failed or finding.ok is False
    raise typer.Exit(EXIT_FAILED if failed else 0)


def examine(settings: Settings, keep_answer: bool = False) -> Iterator[Finding]:
    """Yield every finding in turn; later ones need what earlier ones looked at."""
    yield examine_device(settings)
    intact = True
    for finding in examine_store(settings.model_store):
        intact = intact and finding.ok is True
        yield finding
    if intact:
        yield examine_sample(settings, keep_answer)


def examine_device(settings: Settings) -> Finding:
    """Find the engine that computes, its device and threads."""
    device = resolve_device(settings.device)
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''}"
    if device == "cpu" and settings.engine != "torch":
        engine = f"onnxruntime {version('onnxruntime')}"
        return Finding("device", f"cpu, {engine}, {threads}", ok=True)
    # A processor is served without it: it may not be installed.
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        return Finding("device", f"{device} cannot be used: {error}", ok=False)
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
    return Finding("device", f"{device} ({name}), torch {torch.__version__}, {threads}", ok=True)


def examine_store(folder: Path) -> Iterator[Finding]:
    """Check that there are models, with the weights that their configurations name."""
    models = read_store(folder)
    if not models:
        yield Finding("models", f"{folder} holds none", ok=False)
    for model in models:
        intact = model.is_intact()
        detail = f"version {model.version}, sha256 {model.sha256[:12]}"
        yield Finding(
            model.name, detail if intact else f"{detail}: the weights have another hash", intact
        )


def examine_sample(settings: Settings, keep_answer: bool) -> Finding:
    """Check that the portrait's landmarks lie where they lay when these weights were stored."""
    try:
        with Where(model_store=settings.model_store, device=settings.device).client() as client:
            reply = ask(lambda: client.align(PORTRAIT, max_faces=1))
    except (CommandError, CallError, ConfigurationError) as error:
        return Finding("sample", str(error), ok=False)
    if keep_answer:
        # Times differ with every run, and the file is kept in the repository.
        kept = reply.model_copy(update={"timings_ms": {}})
        ANSWER.write_text(kept.model_dump_json(by_alias=True, exclude_none=True) + "\n")
    if not ANSWER.exists():
        return Finding("sample", "no answer is stored to compare with", ok=None)
    stored = AlignReply.model_validate_json(ANSWER.read_text())
    return compare(reply, stored)


def compare(reply: AlignReply, stored: AlignReply) -> Finding:
    """Judge the sample's answer by the stored one; other weights have nothing to be judged by."""
    if reply.model.sha256 != stored.model.sha256:
        detail = f"the stored answer is of other weights ({stored.model.sha256[:12]})"
        return Finding("sample", detail, ok=None)
    if len(reply.faces) != len(stored.faces):
        return Finding("sample", f"{len(reply.faces)} faces, not {len(stored.faces)}", ok=False)
    off = farthest_landmark_px(reply, stored)
    detail = f"landmarks are {off:.3f} pixels from the stored ones at most"
    return Finding("sample", detail, ok=off <= TOLERANCE_PX)


def farthest_landmark_px(reply: AlignReply, stored: AlignReply) -> float:
    """Return the largest distance between a landmark and its stored place, over all faces."""
    points = [point for face in reply.faces for point in face.landmarks]
    places = [point for face in stored.faces for point in face.landmarks]
    return max(map(math.dist, points, places), default=0.0)


def as_line(finding: Finding) -> str:
    mark = {True: "[green]ok[/]   ", False: "[bold red]wrong[/]", None: "[yellow]--[/]   "}
    return f"{mark[finding.ok]} {escape(finding.what)}: {escape(finding.detail)}"
