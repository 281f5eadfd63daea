"""One clip of a place after the other into one Parquet file each, whole or not there."""

import importlib
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from service.affect.clip_replies import AffectMoment, Summary
from service.clips.replies import ClipHead, ClipInfoBody, ClipTail
from service.clips.run import Look
from service.commands.annotate.places import Place, result_name
from service.commands.annotate.tables import affect_rows, affect_schema, track_rows, track_schema
from service.commands.batch.pool import Emit, Tick
from service.commands.batch.sources import Source
from service.commands.clips import open_film
from service.commands.estimators import EstimateOptions, choose_estimator
from service.commands.followers import FollowOptions, choose_follower
from service.commands.here import Here
from service.commands.loops import Loop
from service.commands.there import There

Rows = list[dict[str, Any]]
Put = Callable[[Rows], None]
BATCH_ROWS = 2048


class Annotator(Protocol):
    """Looks at one clip after the other; a context manager that loads what it needs."""

    def __enter__(self) -> Self:
        """Make ready; raises CommandError when that cannot be."""

    def __exit__(self, *_: object) -> None:
        """Let go of everything."""

    def schema(self, metadata: dict[str, str]) -> Any:
        """The columns of its tables."""

    def annotate(self, file: BinaryIO, name: str, put: Put, tick: Tick) -> None:
        """Put the rows of the clip in an open file, as they come."""


def choose_annotator(where: Here | There, options: FollowOptions | EstimateOptions) -> Annotator:
    """The annotator for these options, not yet ready; raises ConfigurationError."""
    if isinstance(options, FollowOptions):
        return FollowingAnnotator(where, options)
    return EstimatingAnnotator(where, options)


def as_parameters(options: FollowOptions | EstimateOptions) -> dict[str, Any]:
    """The options as plain values, to be compared with those of an earlier run."""
    if isinstance(options, FollowOptions):
        return {"what": "track", **asdict(options)}
    return {"what": "affect", "rate_hz": options.rate_hz, **options.affect.model_dump()}


class FollowingAnnotator:
    """Follows faces: one row a face and frame."""

    def __init__(self, where: Here | There, options: FollowOptions) -> None:
        self._where, self._options = where, options
        self._loop = Loop(where, "track")

    def __enter__(self) -> Self:
        self._loop.__enter__()
        self._follower = choose_follower(self._where, self._loop.inference, self._options)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.__exit__()

    def schema(self, metadata: dict[str, str]) -> Any:
        """The columns of `countenance track --csv`."""
        return track_schema(metadata)

    def annotate(self, file: BinaryIO, name: str, put: Put, tick: Tick) -> None:
        """Put the rows of each frame."""

        async def follow() -> None:
            async with open_film(file) as film:
                async for seen in self._follower.follow(film.shots):
                    put(track_rows(name, seen))
                    tick(seen.shot.number + 1, film.expected)

        self._loop.run(follow())


class EstimatingAnnotator:
    """Estimates valence and arousal: one row a face and frame."""

    def __init__(self, where: Here | There, options: EstimateOptions) -> None:
        self._where, self._options = where, options
        self._loop = Loop(where, "affect")

    def __enter__(self) -> Self:
        self._loop.__enter__()
        self._estimator = choose_estimator(self._where, self._loop.inference, self._options)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.__exit__()

    def schema(self, metadata: dict[str, str]) -> Any:
        """The columns of `countenance affect --csv`, quadrants and attention behind them."""
        return affect_schema(metadata)

    def annotate(self, file: BinaryIO, name: str, put: Put, tick: Tick) -> None:
        """Put the rows of each frame."""
        self._loop.run(self._estimator.look(file, _Rows(name, put), tick))


class _Rows:
    """Takes frames and puts their rows."""

    def __init__(self, name: str, put: Put) -> None:
        self._name, self._put = name, put

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> None:
        """Keep who answers."""
        self._head = head

    def add(self, look: Look[AffectMoment]) -> None:
        """Put a frame's rows."""
        self._put(affect_rows(self._name, self._head, look.frame))

    def finish(self, clip: ClipInfoBody, summary: Summary, tail: ClipTail) -> None:
        """All is put."""


@dataclass(frozen=True)
class AnnotateJob:
    """From which place to which, by whom, and how clips are looked at."""

    source: str
    out: str
    where: Here | There
    options: FollowOptions | EstimateOptions

    def hire(self) -> "AnnotateWorker":
        """A worker with a model or a connection of its own; raises ConfigurationError."""
        return AnnotateWorker(self)


class AnnotateWorker:
    """Annotates one clip after the other."""

    def __init__(self, job: AnnotateJob) -> None:
        self._source, self._out = Place(job.source), Place(job.out)
        self._annotator = choose_annotator(job.where, job.options)

    def __enter__(self) -> Self:
        self._annotator.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._annotator.__exit__()

    def work(self, source: Source, emit: Emit, tick: Tick) -> None:
        """Write a clip's table; raises ServiceError, CallError or OSError where that cannot be."""
        told = {"clip": source.name, "made_by": f"countenance {_version()}"}
        with (
            self._fetched(source) as file,
            self._out.writing(result_name(source), draft_name(source)) as stream,
            Table(stream, self._annotator.schema(told)) as table,
        ):
            self._annotator.annotate(file, source.name, table.put, tick)

    @contextmanager
    def _fetched(self, source: Source) -> Iterator[BinaryIO]:
        """A clip as a file of this machine, from wherever it lies; memory holds none of it."""
        with tempfile.TemporaryFile() as file:
            with self._source.files.open_input_stream(source.path) as stream:
                shutil.copyfileobj(stream, file)
            file.flush()
            file.seek(0)
            yield file


class Table:
    """Parquet into an open stream, some rows at a time; whole once the block ends."""

    def __init__(self, stream: Any, schema: Any) -> None:
        self._arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
        self._writer = parquet.ParquetWriter(stream, schema, compression="zstd")
        self._schema = schema
        self._rows: Rows = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()
        self._writer.close()

    def put(self, rows: Rows) -> None:
        """Add rows; they are written when there are enough."""
        self._rows += rows
        if len(self._rows) >= BATCH_ROWS:
            self._write()

    def _write(self) -> None:
        self._writer.write_batch(
            self._arrow.RecordBatch.from_pylist(self._rows, schema=self._schema)
        )
        self._rows = []


def draft_name(source: Source) -> str:
    """A name that no other worker's draft has, and that says whose it is."""
    whose = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return f"{Path(source.name).name}.{whose}.part"


def _version() -> str:
    try:
        return version("countenance")
    except PackageNotFoundError:
        return "from source"
