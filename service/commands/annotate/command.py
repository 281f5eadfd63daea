"""`countenance annotate`: a folder or bucket of videos into tables, by as many as there are."""

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from service.commands.affect import EstimateOptions
from service.commands.annotate.places import TableFolder, agree_on, take_stock
from service.commands.annotate.ray import Workers, annotate_by_ray
from service.commands.annotate.worker import AnnotateJob, as_parameters
from service.commands.batch.batch import emit, summarise, tell, watch
from service.commands.batch.pool import Done, Tick, carry_out
from service.commands.clients import choose_where
from service.commands.console import mistakes_explained
from service.commands.options import (
    Device,
    Key,
    KeyFile,
    MinFacePx,
    ModelStore,
    Url,
    told,
)
from service.commands.track import FollowOptions
from service.options import MIN_FACE_PX, RATE_HZ, SMOOTHING, TRACK_MAX_FACES

WORKERS = "Workers: more than one need the extra annotate, which brings Ray"
FOLLOWING, ESTIMATING = "With --what track", "With --what affect"


def annotate(
    source: Annotated[
        str, typer.Argument(help="Folder of videos, here or as s3://bucket/folder, gs://...")
    ],
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
    variant: Annotated[
        str | None,
        typer.Option(help="Another tracker or network.", show_default="the model's own"),
    ] = None,
    max_faces: Annotated[int, told(TRACK_MAX_FACES, panel=FOLLOWING)] = TRACK_MAX_FACES.default,
    steady: Annotated[
        bool,
        typer.Option(help="Bring looks at a face at rest together.", rich_help_panel=FOLLOWING),
    ] = True,
    smoothing: Annotated[bool, told(SMOOTHING, "--smoothing", panel=FOLLOWING)] = SMOOTHING.default,
    rate_hz: Annotated[float, told(RATE_HZ, panel=ESTIMATING)] = RATE_HZ.default,
    url: Url = None,
    key: Key = None,
    key_file: KeyFile = None,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Look at many videos as track or affect does: one Parquet file each, a row a frame.

    A file has its video's name below the folder and appears only when it is whole. So whatever is
    stopped, killed or begun again, no video is lost and none is there twice; a second run does
    what the first one has not done, and videos that have changed since.
    """
    with mistakes_explained():
        options: FollowOptions | EstimateOptions
        if what == "track":
            options = FollowOptions(
                max_faces, min_face_px, steady=steady, smoothing=smoothing, variant=variant
            )
        else:
            options = EstimateOptions(rate_hz, variant, min_face_px)
        where = choose_where(url, key, key_file, model_store, device)
        place = TableFolder(out)
        stock = take_stock(TableFolder(source), place)
        agree_on(place, as_parameters(options))
        if done := len(stock.clips) - len(stock.todo):
            tell(f"{done} of {len(stock.clips)} videos were done before.")
        job = AnnotateJob(source, out, where, options)

        def run(tick: Tick) -> Iterator[Done]:
            if ray_address is None and jobs in (None, 1):
                return carry_out(job, stock.todo, 1, emit, tick)
            return annotate_by_ray(job, stock.todo, Workers(jobs, gpus, ray_address))

        failures = watch("videos", len(stock.todo), False, run)
        place.clear_drafts()
    summarise("videos", len(stock.clips), failures)
