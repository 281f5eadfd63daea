"""Many sources through one worker here, or through processes of one thread each, in order."""

import multiprocessing
import os
import signal
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import NoReturn

from service.client import CallError, Countenance
from service.commands.batch.files import Emit, Source
from service.commands.console import CommandError
from service.commands.options import Where
from service.errors import EXIT_INTERRUPTED, ServiceError
from service.inference.loading import bound_threads

# How many sources a process has at hand: memory is bounded by what so many need.
AT_HAND = 2
# Ctrl-C goes to all processes; of those that have not ended yet the pool terminates the rest.
ENDING = (signal.SIGINT, signal.SIGTERM)

# Told how much of a source is done and how much there is, None where that is not known.
Tick = Callable[[float, float | None], None]


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


def explain(error: Exception) -> str:
    """Return one line for people."""
    if isinstance(error, ServiceError):
        return f"{error.problem.title}: {error.detail}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


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
_client: Countenance | None = None
_is_working = False
_is_ending = False


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
