"""Commands over many files: skip what is done, show progress, sum up."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from service.commands.batch.files import Plan, Source
from service.commands.batch.pool import Done, Job, Tick, carry_out
from service.commands.console import EXIT_FAILED, err, out

MOST_NAMED = 10  # files in a line; further ones are counted


@dataclass(frozen=True)
class SourceBatch:
    """The sources of one command, and where their results go; `what` names them, in the plural.

    `prints` says that results go to stdout, one text a source. Progress within a source counts
    `unit`. `left_out` are files of the folders whose names are none of such sources, `notes`
    what else to say at the end.
    """

    what: str
    sources: Sequence[Source]
    plan: Plan
    prints: bool
    jobs: int = 1
    again: bool = False
    unit: str = "frames"
    left_out: Sequence[Path] = ()
    notes: Sequence[str] = ()

    def run(self, job: Job) -> None:
        """Carry out what is not done yet, print the results; exit code 1 if anything failed."""
        todo = [one for one in self.sources if self.again or not self.plan.is_done(one)]
        if skipped := len(self.sources) - len(todo):
            tell(f"{skipped} of {len(self.sources)} {self.what} were done before.")
        jobs = min(self.jobs, len(todo))
        failures = watch(
            self.what,
            len(todo),
            self.prints,
            lambda tick: carry_out(job, todo, jobs, emit, tick),
            self.unit,
        )
        self._sum_up(failures)

    def _sum_up(self, failures: Sequence[Done]) -> None:
        """Say on stderr what was left out, what failed and why."""
        for note in self.notes:
            tell(note)
        if self.left_out:
            names = ", ".join(str(path) for path in self.left_out[:MOST_NAMED])
            more = ", ..." if len(self.left_out) > MOST_NAMED else ""
            tell(f"{len(self.left_out)} files were left out, no {self.what} by name: {names}{more}")
        if not (err.is_terminal or self.prints):
            tell(f"{len(self.sources) - len(failures)} of {len(self.sources)} {self.what} done.")
        summarise(self.what, len(self.sources), failures)


def watch(
    what: str,
    total: int,
    prints: bool,
    run: Callable[[Tick], Iterator[Done]],
    unit: str = "frames",
) -> list[Done]:
    """Show how `run` gets on; return the failures. Without anything to do it is not called."""
    failures: list[Done] = []
    if not total:
        return failures
    with show_progress(what.capitalize(), total, prints, unit) as meter:
        for done in run(meter.tick):
            if done.reason is not None:
                failures.append(done)
            meter.advance()
    return failures


def summarise(what: str, total: int, failures: Sequence[Done]) -> None:
    """Say on stderr what failed and why; exit code 1 if anything did."""
    for failure in failures:
        tell(f"{failure.source.path}: {failure.reason}")
    if failures:
        tell(f"{len(failures)} of {total} {what} failed.")
        raise typer.Exit(EXIT_FAILED)


def emit(text: str) -> None:
    """Write results to stdout at once: somebody may read them at the other end of a pipe."""
    sys.stdout.write(text)
    sys.stdout.flush()


def tell(line: str) -> None:
    """Write one line to stderr, as it is."""
    err.print(line, markup=False, highlight=False, soft_wrap=True)


class Rate(ProgressColumn):
    """A column of units a second."""

    def render(self, task: Task) -> Text:
        """Return the speed of the last moments, or of the whole task once it is done."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class ProgressMeter:
    """Counts sources; of one that tells of its own progress, that too."""

    def __init__(self, bar: Progress, what: str, total: int, unit: str) -> None:
        self._bar = bar
        self._unit = unit
        self._all = bar.add_task(what, total=total)
        self._one = bar.add_task("", total=None, visible=False)

    def advance(self) -> None:
        """Count one source as done."""
        self._bar.advance(self._all)
        self._bar.reset(self._one, visible=False)

    def tick(self, done: float, total: float | None) -> None:
        """Show how much of the present source is done."""
        self._bar.update(
            self._one, description=f"  {self._unit}", completed=done, total=total, visible=True
        )


@contextmanager
def show_progress(what: str, total: int, prints: bool, unit: str) -> Iterator[ProgressMeter]:
    """Show a bar for `total` sources, unless it would disturb results that are printed."""
    wanted = err.is_terminal and not (prints and out.is_terminal)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not wanted) as bar:
        yield ProgressMeter(bar, what, total, unit)
