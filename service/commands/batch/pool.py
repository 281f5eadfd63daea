"""Many sources through one worker here, or through processes of one thread each, in order."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Protocol, Self

from service.client import CallError
from service.commands.batch.files import Source
from service.commands.console import CommandError
from service.errors import ServiceError
from service.inference.local import bound_threads

# How many sources a process has at hand: memory is bounded by what so many need.
AT_HAND = 2

# Told how much of a source is done and how much there is, None where that is not known.
Tick = Callable[[float, float | None], None]
# Given what is to be printed, as soon as it is known.
Emit = Callable[[str], object]


class Worker(Protocol):
    """Looks at one source after the other; enter it first."""

    def __enter__(self) -> Self:
        """Make ready; raises CommandError when that cannot be."""

    def __exit__(self, *_: object) -> None:
        """Let go of everything."""

    def work(self, source: Source, emit: Emit, tick: Tick) -> None:
        """Look at a source; raises ServiceError, CallError or OSError where that cannot be."""


class Job(Protocol):
    """How a worker is made; it is sent to other processes."""

    def worker(self) -> Worker:
        """Return a worker, not yet entered; raises CommandError, ConfigurationError."""


@dataclass(frozen=True)
class Done:
    """A source that was looked at; `text` is what another process printed, `reason` a failure's."""

    source: Source
    text: str = ""
    reason: str | None = None


def carry_out(
    job: Job, sources: Iterable[Source], jobs: int, emit: Emit, tick: Tick
) -> Iterator[Done]:
    """Every source in turn; with several `jobs` a source's text comes whole, and no ticks.

    Raises what makes going on useless: CommandError, ConfigurationError, a missing module.
    """
    if jobs > 1:
        for done in _spread(job, sources, jobs):
            emit(done.text)
            yield done
        return
    with job.worker() as worker:
        for source in sources:
            yield attempt(worker, source, emit, tick)


def attempt(worker: Worker, source: Source, emit: Emit, tick: Tick) -> Done:
    """One source; a failure that others need not share becomes its reason."""
    try:
        worker.work(source, emit, tick)
    except BrokenPipeError:  # nobody reads what is printed: there is no point in going on
        raise
    except (ServiceError, CallError, OSError) as error:
        return Done(source, reason=explain(error))
    return Done(source)


def explain(error: Exception) -> str:
    """One line for people."""
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
_worker: Worker | None = None


def _begin(job: Job) -> None:
    """Keep the job of this process; its worker is made with the first source.

    Ctrl-C goes to all processes: this one just ends, the first one says so.
    """
    global _job
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _job = job


def _work(source: Source) -> Done:
    global _worker
    if _worker is None:
        assert _job is not None
        _worker = _job.worker().__enter__()
        bound_threads(1)  # the other cores are for the other processes
    texts: list[str] = []
    done = attempt(_worker, source, texts.append, _ignore)
    return replace(done, text="".join(texts))


def _ignore(done: float, total: float | None) -> None:
    """Progress within a source shows only where the bar is."""
