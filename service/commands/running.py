"""Commands over many files: by one worker or several processes, with progress and a summary."""

import multiprocessing
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

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

from service.client import CallError, Countenance
from service.commands.console import EXIT_FAILED, CommandError, err, explain, out
from service.commands.files import Emit, Plan, Source
from service.commands.options import Where
from service.errors import EXIT_INTERRUPTED, ServiceError
from service.inference.loading import bound_threads

# How many sources a process has at hand: memory is bounded by what so many need.
AT_HAND = 2
# Ctrl-C goes to all processes; of those that have not ended yet the pool terminates the rest.
ENDING = (signal.SIGINT, signal.SIGTERM)
# Told how much of a source is done and how much there is, None where that is not known.
Tick = Callable[[float, float | None], None]
_client: Countenance | None = None
_is_working = False
_is_ending = False
MOST_NAMED = 10  # files in a line; further ones are counted


@dataclass(frozen=True)
class Job(ABC):
    """The work on every source, by whom it is asked; it is sent to other processes."""

    where: Where

    @abstractmethod
    def work(self, client: Countenance, source: Source, emit: Emit, tick: Tick) -> None:
        """Look at a source; raises ServiceError, CallError or OSError where that cannot be."""


@dataclass(frozen=True)
class Done:
    """A source that was looked at; `text` is what another process printed, `reason` a failure's."""

    source: Source
    text: str = ""
    reason: str | None = None


def carry_out(
    job: Job, sources: Iterable[Source], jobs: int, emit: Emit, tick: Tick
) -> Iterator[Done]:
    """Work on every source in turn; with several `jobs` a source's text comes whole, and no ticks.

    Raises what makes going on useless: CommandError, ConfigurationError, a missing module.
    """
    if jobs > 1:
        for done in _spread(job, sources, jobs):
            emit(done.text)
            yield done
        return
    with job.where.client() as client:
        for source in sources:
            yield attempt(job, client, source, emit, tick)


def attempt(job: Job, client: Countenance, source: Source, emit: Emit, tick: Tick) -> Done:
    """Work on one source; a failure that others need not share becomes its reason."""
    try:
        job.work(client, source, emit, tick)
    except BrokenPipeError:  # nobody reads what is printed: there is no point in going on
        raise
    except (ServiceError, CallError, OSError) as error:
        return Done(source, reason=explain(error))
    return Done(source)


def _spread(job: Job, sources: Iterable[Source], jobs: int) -> Iterator[Done]:
    # A fresh process each: a copy of this one would have its locks, and no GPU.
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[Done]] = deque()
    pool = ProcessPoolExecutor(jobs, context, _begin, (job,))
    try:
        for source in sources:
            if len(waiting) >= AT_HAND * jobs:
                yield waiting.popleft().result()
            waiting.append(pool.submit(_work, source))
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise CommandError(
            "a process ended before its work was done, perhaps for want of memory: fewer --jobs "
            "need less; with --out, what is done is not done again"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_job: Job | None = None


def _begin(job: Job) -> None:
    """Keep the job of this process; its client is made with the first source."""
    global _job
    for kind in ENDING:
        signal.signal(kind, _interrupt)
    _job = job


def _interrupt(*_: object) -> None:
    """Drop the work, with its half-written files, and end; the first process says so.

    A second signal changes nothing. Ignoring it by `signal.SIG_IGN` instead would let Python print
    a traceback for one that came in the meantime.
    """
    global _is_ending
    if _is_ending:
        return
    _is_ending = True
    if _is_working:
        raise KeyboardInterrupt
    _end()


def _end() -> NoReturn:
    if _client is not None:
        _client.discard()
    # Not `sys.exit`, which would wait for threads that compute.
    os._exit(EXIT_INTERRUPTED)


def _work(source: Source) -> Done:
    global _client, _is_working
    assert _job is not None
    if _client is None:
        _client = _job.where.client()
        bound_threads(1)  # the other cores are for the other processes
    texts: list[str] = []
    try:
        _is_working = True
        done = attempt(_job, _client, source, texts.append, _ignore)
        _is_working = False
    except KeyboardInterrupt:
        _end()
    return replace(done, text="".join(texts))


def _ignore(done: float, total: float | None) -> None:
    """Ignore progress: it shows only where the bar is."""


@dataclass(frozen=True)
class SourceBatch:
    """The sources of one command, and where their results go; `what` names them, in the plural.

    `prints` says that results go to stdout, one text a source. Progress within one counts `unit`.
    `left_out` are files whose names are none of such sources, `notes` what else to say at the end.
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
            count = f"{skipped} of {len(self.sources)} {self.what}"
            tell(f"{count} were done before; --again does them anew.")
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
            count = len(self.left_out)
            were = "1 file was" if count == 1 else f"{count} files were"
            tell(f"{were} left out, no {self.what} by name: {names}{more}")
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
