"""One clip after the other: opened, followed, and written down as it goes."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from service.commands.batch.pool import Emit, Tick
from service.commands.batch.results import Plan, draft_of, whole_file
from service.commands.batch.sources import Source
from service.commands.cameras import open_camera
from service.commands.clips import Film, Shot, film_of
from service.commands.console import CommandError
from service.commands.followers import MODEL, FollowOptions, Seen, choose_follower
from service.commands.here import Here
from service.commands.loops import Loop
from service.commands.options import settings_with
from service.commands.overlays import OverlayVideo
from service.commands.poses import Poses, find_poses
from service.commands.there import There
from service.commands.track_reports import Tally, as_csv_rows, as_json_line, track_csv_header

DRAWN = ".mp4"
Note = Callable[[Seen], object]


@dataclass(frozen=True)
class TrackJob:
    """How clips become reports of the form `form`, and which files they fill."""

    where: Here | There
    options: FollowOptions
    form: str
    plan: Plan
    model_store: Path | None = None
    seconds: float | None = None

    def hire(self) -> "TrackWorker":
        """A worker with a model or a connection of its own; raises ConfigurationError."""
        return TrackWorker(self)


class TrackWorker:
    """Looks at one clip after the other, or through a camera."""

    def __init__(self, job: TrackJob) -> None:
        self._job = job
        self._loop = Loop(job.where, MODEL)
        self._poses: Poses | None = None

    def __enter__(self) -> Self:
        drawn = any(DRAWN in files for files in self._job.plan.paths.values())
        if drawn or self._job.form == "csv":
            store = settings_with(model_store=self._job.model_store).model_store
            self._poses = find_poses(store)
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
        report = partial(as_csv_rows, poses=self._poses) if form == "csv" else as_json_line
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
        if self._poses is None:
            raise CommandError(
                "drawing needs the mean face of a model store and pip install "
                "'countenance[models]', even where a service elsewhere follows the faces"
            )
        with draft_of(path) as draft, OverlayVideo(draft, self._poses) as video:
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
