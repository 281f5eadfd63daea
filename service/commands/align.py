"""`countenance align`: photographs into landmarks, here or by a service elsewhere."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from service.client import Countenance
from service.commands.files import (
    PHOTOS,
    Emit,
    Plan,
    Source,
    draft_of,
    find_sources,
    left_out,
    plan_results,
    read_source,
    writing,
)
from service.commands.forms import FORMATS, align_csv_header, tell_notes
from service.commands.options import (
    Results,
    Where,
    ask,
    command,
    result_option,
)
from service.commands.running import Job, SourceBatch, Tick, emit
from service.options import AlignKeywords

DRAWN = ".png"


@command
def align(
    photos: Annotated[
        list[str], typer.Argument(help="Photographs, folders of them, or - for stdin.")
    ],
    *,
    as_json: Annotated[bool, result_option("--json", help="One JSON object a line.")] = False,
    as_csv: Annotated[
        bool,
        result_option("--csv", help="One row a face, with OpenFace's column names."),
    ] = False,
    results: Results,
    overlay: Annotated[
        Path | None,
        result_option(file_okay=False, help="Folder for the drawn pictures."),
    ] = None,
    how: AlignKeywords,
    where: Where,
) -> None:
    """Find the faces of photographs and their 68 landmarks, in pixels of the upright picture."""
    form = results.form(json=as_json, csv=as_csv)
    sources = find_sources(photos, PHOTOS, "photograph")
    plan = plan_results(sources, {f".{form}": results.out, DRAWN: overlay})
    prints = results.are_printed
    if prints:
        emit(header(form))
    # With drawings alone the results that are printed need all photographs.
    SourceBatch(
        *("photographs", sources, plan, prints, results.jobs, results.again or prints),
        left_out=left_out(photos, PHOTOS),
    ).run(AlignJob(where, how, form, plan))


@dataclass(frozen=True)
class AlignJob(Job):
    """Photographs into reports of the form `form`, and the files that they fill."""

    how: AlignKeywords
    form: str
    plan: Plan = field(default_factory=Plan)

    def work(self, client: Countenance, source: Source, emit: Emit, tick: Tick) -> None:
        """Write the files of a photograph; emit its report where that has no file."""
        photo = read_source(source)
        reply = ask(lambda: client.align(photo, **self.how))
        if (drawing := self.plan.path(source, DRAWN)) is not None:
            drawn = ask(lambda: client.draw(photo, **self.how))
            with draft_of(drawing) as draft:
                draft.write_bytes(drawn)
        # A table has no place for notes.
        if self.form == "csv":
            tell_notes(source.path, reply.notes)
        file = self.plan.path(source, f".{self.form}")
        with writing(file, header(self.form), emit) as write:
            write(FORMATS[self.form](source.path, reply))


def header(form: str) -> str:
    """Return what stands above the reports of a form."""
    return align_csv_header("photo") if form == "csv" else ""
