"""`countenance track`: faces followed through clips or a camera's pictures."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.batch.batch import Batch, emit
from service.commands.batch.results import plan_with
from service.commands.batch.sources import CLIPS, Source, find_sources
from service.commands.cameras import is_camera
from service.commands.console import CommandError, mistakes_explained
from service.commands.followers import FollowOptions
from service.commands.options import (
    Again,
    Device,
    Jobs,
    Key,
    KeyFile,
    MinFacePx,
    ModelStore,
    Out,
    Url,
    choose_form,
    max_faces_option,
    result_option,
    smoothing_option,
)
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
        result_option("--csv", help="One row a face and frame, with OpenFace's column names."),
    ] = False,
    as_json: Annotated[bool, result_option("--json", help="One JSON object a frame.")] = False,
    out: Out = None,
    overlay: Annotated[
        Path | None,
        result_option(help="The clip with the faces drawn on it, as .mp4; a folder for several."),
    ] = None,
    again: Again = False,
    jobs: Jobs = 1,
    max_faces: Annotated[int, max_faces_option()] = 1,
    min_face_px: MinFacePx = 40,
    steady: Annotated[
        bool, typer.Option(help="Bring looks at a face at rest together, or take each alone.")
    ] = True,
    smoothing: Annotated[bool, smoothing_option()] = False,
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
    form = choose_form(out, json=as_json, csv=as_csv)
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
