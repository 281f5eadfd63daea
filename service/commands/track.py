"""`countenance track`: faces followed through clips or a camera's pictures."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.batch import Batch, emit
from service.commands.cameras import is_camera
from service.commands.console import EXIT_USAGE, CommandError, fail, mistakes_explained
from service.commands.followers import FollowOptions
from service.commands.options import (
    RESULTS,
    Again,
    Device,
    Jobs,
    Key,
    KeyFile,
    ModelStore,
    Out,
    Url,
)
from service.commands.results import plan_with
from service.commands.sources import CLIPS, Source, find_sources
from service.commands.there import choose_where
from service.commands.track_reports import track_csv_header
from service.commands.track_work import DRAWN, TrackJob

VIDEOS = frozenset({".mp4", ".m4v", ".mov"})


def track(
    clips: Annotated[
        list[str],
        typer.Argument(help="Clips, folders of them, - for stdin, or a camera's number."),
    ],
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv",
            help="One row a face and frame, with OpenFace's column names.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a frame.", rich_help_panel=RESULTS)
    ] = False,
    out: Out = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            help="The clip with the faces drawn on it, as .mp4; a folder for several.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    again: Again = False,
    jobs: Jobs = 1,
    max_faces: Annotated[int, typer.Option(min=1, max=8, help="Most faces to follow.")] = 1,
    min_face_px: Annotated[int, typer.Option(min=12, help="Smallest face, in pixels.")] = 40,
    steady: Annotated[
        bool, typer.Option(help="Bring looks at a face at rest together, or take each alone.")
    ] = True,
    smoothing: Annotated[
        bool, typer.Option("--smoothing", help="Calm the landmarks, a little late.")
    ] = False,
    variant: Annotated[
        str | None, typer.Option(help="Another tracker, such as crt.", show_default="dcrt")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long to look through a camera; else Ctrl-C.")
    ] = None,
    url: Url = None,
    key: Key = None,
    key_file: KeyFile = None,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Follow faces and their 68 landmarks through clips, in pixels of the upright frame."""
    if as_json and as_csv:
        fail("--json and --csv exclude each other", EXIT_USAGE)
    form = "json" if as_json else "csv" if as_csv or out is not None else "text"
    with mistakes_explained():
        sources = find_clips(clips)
        plan = plan_with(sources, {f".{form}": out}, DRAWN, overlay, VIDEOS)
        options = FollowOptions(max_faces, min_face_px, steady, smoothing, variant)
        where = choose_where(url, key, key_file, model_store, device)
        job = TrackJob(where, options, form, plan, model_store, seconds)
        if out is None and form == "csv":
            emit(track_csv_header())
        live = any(source.is_camera for source in sources)
        again = again or live or (out is None and form != "text")
        batch = Batch("clips", sources, plan, out is None, 1 if live else jobs, again)
        failures = batch.run(job)
    batch.summarise(failures)


def find_clips(names: list[str]) -> list[Source]:
    """What the names mean; raises CommandError. A camera goes alone."""
    cameras = [name for name in names if is_camera(name) and not Path(name).is_file()]
    if not cameras:
        return find_sources(names, CLIPS, "clip")
    if len(names) > 1:
        raise CommandError(f"the camera {cameras[0]} goes alone, without other clips")
    return [Source(cameras[0], f"camera-{Path(cameras[0]).name}", is_camera=True)]
