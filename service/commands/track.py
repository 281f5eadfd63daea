"""`countenance track`: faces followed through clips or a camera's pictures."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Self

import typer

from service.commands.batch.batch import Batch, emit
from service.commands.batch.pool import Emit, Tick
from service.commands.batch.results import Plan, draft_of, plan_with, whole_file
from service.commands.batch.sources import CLIPS, Source, find_sources
from service.commands.cameras import is_camera, open_camera
from service.commands.clips import Film, Shot, film_of
from service.commands.console import CommandError, mistakes_explained
from service.commands.followers import MODEL, FollowOptions, Seen, choose_follower
from service.commands.here import Here
from service.commands.loops import Loop
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
    result_option,
    told,
)
from service.commands.overlays import OverlayVideo
from service.commands.there import There, choose_where
from service.commands.track_reports import Tally, as_csv_rows, as_json_line, track_csv_header
from service.options import MIN_FACE_PX, SMOOTHING, TRACK_MAX_FACES

DRAWN = ".mp4"
Note = Callable[[Seen], object]
VIDEOS = frozenset({".mp4", ".m4v", ".mov"})


@dataclass(frozen=True)
class TrackJob:
    """How clips become reports of the form `form`, and which files they fill."""

    where: Here | There
    options: FollowOptions
    form: str
    plan: Plan
    seconds: float | None = None

    def hire(self) -> "TrackWorker":
        """A worker with a model or a connection of its own; raises ConfigurationError."""
        return TrackWorker(self)


class TrackWorker:
    """Looks at one clip after the other, or through a camera."""

    def __init__(self, job: TrackJob) -> None:
        self._job = job
        self._loop = Loop(job.where, MODEL)

    def __enter__(self) -> Self:
        self._loop.__enter__()
        inference = self._loop.inference
        self._follower = choose_follower(self._job.where, inference, self._job.options)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.__exit__()

    def work(self, source: Source, emit: Emit, tick: Tick) -> None:
        """Follow a clip's faces to its end, writing each frame down as it is answered."""
        with ExitStack() as stack:
            notes = [stack.enter_context(self._reporting(source, emit))]
            if (drawing := self._job.plan.path(source, DRAWN)) is not None:
                notes.append(stack.enter_context(self._drawing(drawing)))
            self._loop.run(self._look(source, notes, tick))

    async def _look(self, source: Source, notes: list[Note], tick: Tick) -> None:
        async with self._open(source) as film:
            shots = _until_interrupted(film.shots) if source.is_camera else film.shots
            async for seen in self._follower.follow(shots):
                for note in notes:
                    note(seen)
                tick(seen.shot.number + 1, film.expected)

    def _open(self, source: Source) -> AbstractAsyncContextManager[Film]:
        if source.is_camera:
            return open_camera(source, self._job.seconds)
        return film_of(source)

    @contextmanager
    def _reporting(self, source: Source, emit: Emit) -> Iterator[Note]:
        """What writes a frame's report into the clip's file, or emits it."""
        name, form = source.path, self._job.form
        if form == "text":
            tally = Tally()
            yield tally.add
            emit(tally.as_text(name))
            return
        report = as_csv_rows if form == "csv" else as_json_line
        file = self._job.plan.path(source, f".{form}")
        if file is None:
            yield lambda seen: emit(report(name, seen))
            return
        with whole_file(file) as text:
            text.write(track_csv_header() if form == "csv" else "")
            yield lambda seen: text.write(report(name, seen))

    @contextmanager
    def _drawing(self, path: Path) -> Iterator[Note]:
        """What draws a frame into the clip's video."""
        if find_spec("cv2") is None:
            raise CommandError(
                "drawing needs pip install 'countenance[models]', even where a service elsewhere "
                "follows the faces"
            )
        with draft_of(path) as draft, OverlayVideo(draft) as video:
            yield video.add


async def _until_interrupted(shots: AsyncIterator[Shot]) -> AsyncIterator[Shot]:
    """The pictures until Ctrl-C, which ends a camera's well and not by force."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError):  # elsewhere Ctrl-C ends it by force
        loop.add_signal_handler(signal.SIGINT, stop.set)
    async for shot in shots:
        if stop.is_set():
            return
        yield shot


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
    max_faces: Annotated[int, told(TRACK_MAX_FACES)] = TRACK_MAX_FACES.default,
    min_face_px: MinFacePx = MIN_FACE_PX.default,
    steady: Annotated[
        bool, typer.Option(help="Bring looks at a face at rest together, or take each alone.")
    ] = True,
    smoothing: Annotated[bool, told(SMOOTHING, "--smoothing")] = SMOOTHING.default,
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
        job = TrackJob(where, options, form, plan, seconds)
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
