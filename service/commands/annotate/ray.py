"""Many clips through Ray Data: processes of this machine, or those of a cluster."""

import importlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from service.commands.batch.pool import Done, Job, attempt
from service.commands.batch.sources import Source
from service.commands.console import CommandError
from service.inference.local import bound_threads
from service.settings import silence_libraries

# A block is what is repeated when a worker is lost: one clip, where there are not too many.
MOST_BLOCKS = 10_000


@dataclass(frozen=True)
class Workers:
    """How many workers, with which share of a GPU each, and where: None is this machine."""

    jobs: int | None = None
    gpus: float = 0.0
    address: str | None = None


class Annotator:
    """A worker as Ray keeps it: made once, then asked for one clip after the other.

    A clip whose worker was lost is given to another one. Its result takes its name only when it is
    whole, so that this neither loses nor doubles it.
    """

    def __init__(self, job: Job) -> None:
        self._worker = job.worker().__enter__()
        bound_threads(1)  # the other cores are for the other workers

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        done = attempt(self._worker, Source(row["path"], row["name"]), _ignore, _ignore)
        return {**row, "reason": done.reason}


def annotate_by_ray(job: Job, sources: Sequence[Source], workers: Workers) -> Iterator[Done]:
    """Every source in any order; raises CommandError where the workers cannot be had."""
    with _cluster(workers) as ray:
        data = importlib.import_module("ray.data")
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        rows = [{"path": source.path, "name": source.name} for source in sources]
        todo = data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
        jobs = workers.jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        done = todo.map(
            Annotator,
            fn_constructor_args=(job,),
            compute=data.ActorPoolStrategy(size=min(jobs, len(rows))),
            num_cpus=1,
            num_gpus=workers.gpus,
        )
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            for row in done.iter_rows():
                yield Done(Source(row["path"], row["name"]), reason=row["reason"])
        except ray.exceptions.RayError as error:
            raise CommandError(f"the workers failed: {_last_line(error)}") from error


@contextmanager
def _cluster(workers: Workers) -> Iterator[Any]:
    silence_libraries()
    ray: Any = importlib.import_module("ray")
    where: dict[str, Any] = {"num_cpus": workers.jobs, "include_dashboard": False}
    if workers.address is not None:
        where = {"address": workers.address}
    try:
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise CommandError(f"Ray cannot be had at {workers.address}: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


def _ignore(*_: object) -> None:
    """Nobody watches a worker."""
