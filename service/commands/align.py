"""`countenance align`: photographs into landmarks, here or by a service elsewhere."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import track

from service.commands.aligners import Aligner, AlignOptions, LocalAligner, RemoteAligner
from service.commands.console import (
    EXIT_FAILED,
    EXIT_USAGE,
    err,
    fail,
    mistakes_explained,
    out,
)
from service.commands.options import Device, ModelStore, settings_with
from service.commands.photos import OverlayNames, find_photos, read_photo
from service.commands.reports import Report, as_csv_rows, as_json_line, as_text
from service.errors import ServiceError
from service.inference.local import LocalInference
from service.logs import configure_logging


@dataclass(frozen=True)
class Failure:
    """A photograph without an answer, and why."""

    photo: str
    reason: str


def align(
    photos: Annotated[list[str], typer.Argument(help="Photographs, folders of them, - for stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="One row a face, with OpenFace's column names.")
    ] = False,
    overlay: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for the drawn pictures.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Ask the service at this address, not the models here.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(exists=True, help="File with the API key of that service.")
    ] = None,
    max_faces: Annotated[int, typer.Option(min=1, max=64, help="Most faces of a photograph.")] = 64,
    min_face_px: Annotated[int, typer.Option(min=20, help="Smallest face, in pixels.")] = 40,
    denoise: Annotated[
        Literal["auto", "off"], typer.Option(help="Denoise faces that need it, or none.")
    ] = "auto",
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Find the faces of photographs and their 68 landmarks, in pixels of the upright picture."""
    if as_json and as_csv:
        fail("--json and --csv exclude each other", EXIT_USAGE)
    options = AlignOptions(max_faces, denoise, min_face_px)
    report = as_json_line if as_json else as_csv_rows if as_csv else as_text
    with mistakes_explained():
        found = find_photos(photos)
        aligner = choose_aligner(options, url, key_file, model_store, device)
        with aligner:
            failures = align_all(aligner, found, report, overlay)
    summarise(failures, len(found))


def choose_aligner(
    options: AlignOptions,
    url: str | None,
    key_file: Path | None,
    model_store: Path | None,
    device: str | None,
) -> Aligner:
    """The service at `url` where one is named, otherwise the models of this machine."""
    if url is not None:
        return RemoteAligner(url, options, key_file.read_text().strip() if key_file else None)
    settings = settings_with(
        model_store=model_store, device=device, log_level="warning", log_format="text"
    )
    configure_logging(settings)
    return LocalAligner(LocalInference.from_settings(settings), options, settings.max_pixels)


def align_all(
    aligner: Aligner, photos: list[str], report: Report, overlay: Path | None
) -> list[Failure]:
    """Write the report of every photograph, and its drawing; what fails is told and passed over."""
    failures: list[Failure] = []
    names = None if overlay is None else OverlayNames(overlay)
    first = True
    for photo in with_progress(photos):
        try:
            aligned = aligner.align(read_photo(photo), draw=names is not None)
        except (ServiceError, OSError) as error:
            failures.append(Failure(photo, explain(error)))
            continue
        typer.echo(report(photo, aligned.reply, first), nl=False)
        first = False
        if names is not None and aligned.overlay is not None:
            path = names.name_for(photo)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(aligned.overlay)
    return failures


def with_progress(photos: list[str]) -> Iterator[str] | Iterable[str]:
    """The photographs, with a bar on stderr where it disturbs no results on the same terminal."""
    if len(photos) == 1 or out.is_terminal or not err.is_terminal:
        return photos
    return track(photos, "Aligning", console=err, transient=True)


def explain(error: ServiceError | OSError) -> str:
    if isinstance(error, ServiceError):
        return f"{error.problem.title}: {error.detail}"
    return error.strerror or str(error)


def summarise(failures: list[Failure], total: int) -> None:
    """Say on stderr which photographs failed and why; exit code 1 if any did."""
    for failure in failures:
        line = f"{failure.photo}: {failure.reason}"
        err.print(line, markup=False, highlight=False, soft_wrap=True)
    if failures:
        err.print(f"{len(failures)} of {total} photographs failed.")
        raise typer.Exit(EXIT_FAILED)
