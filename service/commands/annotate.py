"""`countenance annotate`: a folder or bucket of videos into tables, by many workers."""

import importlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer

from service.commands.console import CommandError
from service.commands.files import Source
from service.commands.options import (
    MinFacePx,
    MinQuality,
    Where,
    command,
    typer_option,
)
from service.commands.running import (
    Done,
    Job,
    Tick,
    attempt,
    carry_out,
    emit,
    summarise,
    tell,
    watch,
)
from service.commands.tables import AnnotateJob, TableFolder, agree_on, take_stock
from service.inference.loading import bound_threads
from service.options import (
    AFFECT_MAX_FACES,
    MIN_FACE_PX,
    MIN_QUALITY,
    RATE_HZ,
    SMOOTHING,
    TRACK_MAX_FACES,
)
from service.settings import silence_libraries

WORKERS = "Workers: more than one need the extra annotate, which brings Ray"
FOLLOWING, ESTIMATING = "With --what track", "With --what affect"
# A block is what is repeated when a worker is lost: one clip, where there are not too many.
MOST_BLOCKS = 10_000


@command
def annotate(
    source: Annotated[
        str, typer.Argument(help="Folder of videos, here or as s3://bucket/folder, gs://...")
    ],
    *,
    out: Annotated[str, typer.Option(help="Folder for the tables, here or in a bucket.")],
    what: Annotated[
        Literal["track", "affect"],
        typer.Option(help="Follow faces and their landmarks, or estimate valence and arousal."),
    ] = "track",
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="How many workers.",
            show_default="1 here, as many as it has CPUs on a cluster",
            rich_help_panel=WORKERS,
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(help="A cluster to work on: auto, or its address.", rich_help_panel=WORKERS),
    ] = None,
    gpus: Annotated[
        float, typer.Option(min=0, help="Share of a GPU for each worker.", rich_help_panel=WORKERS)
    ] = 0.0,
    min_face_px: MinFacePx = MIN_FACE_PX.default,
    min_quality: MinQuality = MIN_QUALITY.default,
    variant: Annotated[
        str | None,
        typer.Option(help="Another tracker or network.", show_default="the model's own"),
    ] = None,
    max_faces: Annotated[int, typer_option(TRACK_MAX_FACES, FOLLOWING)] = TRACK_MAX_FACES.default,
    steady: Annotated[
        bool,
        typer.Option(help="Bring looks at a face at rest together.", rich_help_panel=FOLLOWING),
    ] = True,
    smoothing: Annotated[bool, typer_option(SMOOTHING, FOLLOWING)] = SMOOTHING.default,
    rate_hz: Annotated[float, typer_option(RATE_HZ, ESTIMATING)] = RATE_HZ.default,
    where: Where,
) -> None:
    """Look at many videos as track or affect does: one Parquet file each, a row a frame.

    A file has its video's name below the folder and appears only when it is whole. So whatever is
    stopped, killed or begun again, no video is lost and none is there twice; a second run does
    what the first one has not done, and videos that have changed since.
    """
    how: dict[str, Any] = {
        "max_faces": max_faces,
        "min_face_px": min_face_px,
        "min_quality": min_quality,
        "variant": variant,
    }
    if what == "track":
        how |= {"steady": steady, "smoothing": smoothing}
    else:
        how |= {"rate_hz": rate_hz, "max_faces": AFFECT_MAX_FACES.default}
    job = AnnotateJob(where, source, out, what, how)
    place = TableFolder(out)
    clips, todo = take_stock(TableFolder(source), place)
    agree_on(place, job.parameters)
    if done := len(clips) - len(todo):
        tell(f"{done} of {len(clips)} videos were done before.")

    def run(tick: Tick) -> Iterator[Done]:
        if ray_address is None and jobs in (None, 1):
            return carry_out(job, todo, 1, emit, tick)
        return annotate_by_ray(job, todo, jobs, gpus, ray_address)

    failures = watch("videos", len(todo), False, run)
    place.clear_drafts()
    summarise("videos", len(clips), failures)


class Annotator:
    """A worker as Ray keeps it: made once, then asked for one clip after the other.

    A clip whose worker was lost is given to another one. Its result takes its name only when it is
    whole, so that this neither loses nor doubles it.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._client = job, job.where.client()
        bound_threads(1)  # the other cores are for the other workers

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        source = Source(row["path"], row["name"])
        done = attempt(self._job, self._client, source, _ignore, _ignore)
        return {**row, "reason": done.reason}


def annotate_by_ray(
    job: Job, sources: Sequence[Source], jobs: int | None, gpus: float, address: str | None
) -> Iterator[Done]:
    """Work on every source in any order; raises CommandError where there are no workers.

    There are `jobs` of them, None for one a CPU, each with a share of a GPU, on the cluster at
    `address`, None for this machine.
    """
    with _cluster(jobs, address) as ray:
        data = importlib.import_module("ray.data")
        context = data.DataContext.get_current()
        # There is one of ours.
        context.enable_progress_bars = False
        rows = [{"path": source.path, "name": source.name} for source in sources]
        todo = data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
        workers = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        done = todo.map(
            Annotator,
            fn_constructor_args=(job,),
            compute=data.ActorPoolStrategy(size=min(workers, len(rows))),
            num_cpus=1,
            num_gpus=gpus,
        )
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            for row in done.iter_rows():
                yield Done(Source(row["path"], row["name"]), reason=row["reason"])
        except ray.exceptions.RayError as error:
            raise CommandError(f"the workers failed: {_last_line(error)}") from error


@contextmanager
def _cluster(jobs: int | None, address: str | None) -> Iterator[Any]:
    silence_libraries()
    ray: Any = importlib.import_module("ray")
    here = {"num_cpus": jobs, "include_dashboard": False}
    where: dict[str, Any] = here if address is None else {"address": address}
    try:
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise CommandError(f"Ray cannot be had at {address}: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


def _ignore(*_: object) -> None:
    """Show nothing: nobody watches a worker."""
