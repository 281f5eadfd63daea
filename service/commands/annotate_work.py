"""One clip of a place after the other into one Parquet file each, whole or not there."""

import asyncio
import importlib
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Self

from service.commands.annotate_tables import track_rows, track_schema
from service.commands.clips import open_film
from service.commands.followers import Follower, FollowOptions, LocalFollower, RemoteFollower
from service.commands.here import Here
from service.commands.options import settings_with
from service.commands.places import Place, result_name
from service.commands.poses import find_poses
from service.commands.sources import Source
from service.commands.there import There
from service.commands.work import Emit, Tick

BATCH_ROWS = 2048


@dataclass(frozen=True)
class AnnotateJob:
    """From which place to which, by whom, and how faces are followed."""

    source: str
    out: str
    where: Here | There
    options: FollowOptions
    model_store: Path | None = None

    def hire(self) -> "AnnotateWorker":
        """A worker with a model or a connection of its own; raises ConfigurationError."""
        return AnnotateWorker(self)


class AnnotateWorker:
    """Follows the faces of one clip after the other."""

    def __init__(self, job: AnnotateJob) -> None:
        self._job = job
        self._source, self._out = Place(job.source), Place(job.out)
        self._stack = ExitStack()
        self._models = job.where.models("track") if isinstance(job.where, Here) else None

    def __enter__(self) -> Self:
        self._poses = find_poses(settings_with(model_store=self._job.model_store).model_store)
        if self._models is None:
            self._runner = self._stack.enter_context(asyncio.Runner())
        else:
            self._stack.enter_context(self._models)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def work(self, source: Source, emit: Emit, tick: Tick) -> None:
        """Write a clip's table; raises ServiceError, CallError or OSError where that cannot be."""
        with (
            self._fetched(source) as file,
            self._out.writing(result_name(source), draft_name(source)) as stream,
        ):
            work = self._write(source, file, stream, tick)
            if self._models is None:
                self._runner.run(work)
            else:
                self._models.run(work)

    async def _write(self, source: Source, file: BinaryIO, stream: Any, tick: Tick) -> None:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        schema = track_schema({"clip": source.name, "made_by": f"countenance {_version()}"})
        with parquet.ParquetWriter(stream, schema, compression="zstd") as table:
            async for rows in self._batches(source, file, tick):
                table.write_batch(_batch(rows, schema))

    async def _batches(
        self, source: Source, file: BinaryIO, tick: Tick
    ) -> AsyncIterator[list[dict[str, Any]]]:
        rows: list[dict[str, Any]] = []
        async with open_film(file) as film:
            async for seen in self._follower().follow(film.shots):
                rows += track_rows(source.name, seen, self._poses)
                tick(seen.shot.number + 1, film.expected)
                if len(rows) >= BATCH_ROWS:
                    yield rows
                    rows = []
        yield rows

    def _follower(self) -> Follower:
        if self._models is not None:
            return LocalFollower(self._models.inference, self._job.options)
        assert isinstance(self._job.where, There)
        return RemoteFollower(self._job.where, self._job.options)

    @contextmanager
    def _fetched(self, source: Source) -> Iterator[BinaryIO]:
        """A clip as a file of this machine, from wherever it lies; memory holds none of it."""
        with tempfile.TemporaryFile() as file:
            with self._source.files.open_input_stream(source.path) as stream:
                shutil.copyfileobj(stream, file)
            file.flush()
            file.seek(0)
            yield file


def draft_name(source: Source) -> str:
    """A name that no other worker's draft has, and that says whose it is."""
    whose = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return f"{Path(source.name).name}.{whose}.part"


def _batch(rows: list[dict[str, Any]], schema: Any) -> Any:
    arrow: Any = importlib.import_module("pyarrow")
    return arrow.RecordBatch.from_pylist(rows, schema=schema)


def _version() -> str:
    try:
        return version("countenance")
    except PackageNotFoundError:
        return "from source"
