"""`countenance affect`: valence and arousal over clips, from face and voice."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from service.affect.clip import TimelinePage
from service.affect.replies import AffectFrameLine, AffectMoment
from service.client import Countenance
from service.client.wire import AffectLine
from service.clips.replies import ClipHead, ClipInfoBody, ClipLine, ClipTail, FrameAnswer
from service.commands.console import CommandError
from service.commands.files import (
    CLIPS,
    PHOTOS,
    SOUNDS,
    Emit,
    Plan,
    Source,
    find_sources,
    is_photo,
    left_out,
    plan_with,
    read_source,
    whole_file,
    writing,
)
from service.commands.films import Film, open_file
from service.commands.forms import AFFECT_FORMS, AFFECT_PHOTO_FORMS, part, tell_notes, write_down
from service.commands.options import (
    Results,
    Where,
    ask,
    ask_lines,
    command,
    result_option,
)
from service.commands.running import Job, SourceBatch, Tick, emit
from service.media.clips.contents import Sampling
from service.options import AffectClipKeywords, AffectPhotoKeywords

PLOT = ".svg"


@dataclass(frozen=True)
class AffectJob(Job):
    """Clips into texts of the form `form`, and the files that they fill."""

    how: AffectClipKeywords
    form: str
    plan: Plan

    def work(self, client: Countenance, source: Source, emit: Emit, tick: Tick) -> None:
        """Write the files of a clip or photograph, or emit its text, as frames are estimated.

        A form that says nothing before the clip is done prints nothing of one that fails.
        """
        form = AFFECT_FORMS[self.form](source.path)
        text, plot = self.plan.path(source, f".{self.form}"), self.plan.path(source, PLOT)
        with ExitStack() as stack:
            write = stack.enter_context(writing(text, form.header, emit))
            if is_photo(source):
                photo = read_source(source)
                how = AffectPhotoKeywords(
                    variant=self.how["variant"],
                    min_face_px=self.how["min_face_px"],
                    min_quality=self.how["min_quality"],
                )
                reply = ask(lambda: client.affect_photo(photo, **how))
                if not form.has_notes:
                    tell_notes(source.path, reply.notes)
                write(AFFECT_PHOTO_FORMS[self.form](source.path, reply))
                return
            file = stack.enter_context(open_file(source))
            lines = ask_lines(lambda: client.affect_lines(file, **self.how))
            if plot is not None:
                drawing = stack.enter_context(whole_file(plot))
                lines = _drawn(lines, file, self.how["rate_hz"], drawing.write)
            write_down(lines, form, write, tick)


def _drawn(
    lines: Iterator[AffectLine], file: BinaryIO, rate_hz: float, write: Emit
) -> Iterator[AffectLine]:
    """Pass the lines of a clip on, and draw its timeline with a few of its faces."""
    page, film = TimelinePage(), Film(file, Sampling(rate_hz=rate_hz))
    try:
        for line in lines:
            if isinstance(line, ClipLine):
                page.begin(part(ClipHead, line), part(ClipInfoBody, line))
            elif isinstance(line, AffectFrameLine):
                frames = [] if line.frame is None else list(film.frames(line.frame))
                # Those before it were not looked at: the last one is the line's.
                picture = frames[-1].picture if frames else None
                page.add(FrameAnswer(part(AffectMoment, line), picture))
            else:
                write(page.finish(line.clip, line, part(ClipTail, line)).decode())
            yield line
    finally:
        film.close()


@command
def affect(
    clips: Annotated[
        list[str],
        typer.Argument(
            help="Clips, sound files or photographs, folders of them, or - for a clip from stdin."
        ),
    ],
    *,
    as_csv: Annotated[bool, result_option("--csv", help="One row a face of a frame.")] = False,
    as_json: Annotated[
        bool, result_option("--json", help="One JSON object a clip or photograph.")
    ] = False,
    as_ndjson: Annotated[
        bool,
        result_option(
            "--ndjson",
            help="One JSON object a line, as soon as it is known: the clip, frames, summary.",
        ),
    ] = False,
    results: Results,
    plot: Annotated[
        Path | None,
        result_option(help="The timeline of a clip, as .svg; a folder for several."),
    ] = None,
    how: AffectClipKeywords,
    where: Where,
) -> None:
    """Estimate how pleasant (valence) and how active (arousal) clips look and sound, in [-1, 1].

    Of a photograph, every face is estimated by itself.

    It measures expressions, not what anybody feels.
    """
    form = results.form(json=as_json, ndjson=as_ndjson, csv=as_csv)
    sources = find_sources(clips, CLIPS | SOUNDS | PHOTOS, "clip or photograph")
    plan = plan_with(sources, {f".{form}": results.out}, PLOT, plot, frozenset({PLOT}))
    plan, notes = _leave_plots_out(plan, sources)
    if results.are_printed:
        emit(AFFECT_FORMS[form].header)
    again = results.again or (results.are_printed and form != "text")
    SourceBatch(
        *(_what(sources), sources, plan, results.are_printed, results.jobs, again),
        unit="seconds",
        left_out=left_out(clips, CLIPS | SOUNDS | PHOTOS),
        notes=notes,
    ).run(AffectJob(where, how, form, plan))


def _what(sources: Sequence[Source]) -> str:
    """Name the sources for people, in the plural."""
    photos = sum(map(is_photo, sources))
    return "clips" if not photos else "photographs" if photos == len(sources) else "files"


def _leave_plots_out(plan: Plan, sources: Sequence[Source]) -> tuple[Plan, list[str]]:
    """Return the plan without plots of photographs, and what to say of it.

    Raises CommandError for a single photograph.
    """
    photos = [source for source in sources if is_photo(source) and plan.path(source, PLOT)]
    if not photos:
        return plan, []
    if len(sources) == 1:
        raise CommandError(f"{photos[0].path} is a photograph, which has no plot: omit --plot")
    note = f"Plots are of clips: none was drawn of photographs, {len(photos)} here."
    return plan.without(PLOT, photos), [note]
