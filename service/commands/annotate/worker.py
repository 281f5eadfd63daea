"""One clip of a place after the other into one Parquet file each, whole or not there."""

import importlib
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Self

from service.affect.clip_replies import AffectFrameLine
from service.client.replies import AffectLine, TrackLine
from service.clips.replies import ClipLine
from service.commands.affect import EstimateOptions
from service.commands.annotate.places import TableFolder, result_name
from service.commands.annotate.tables import affect_rows, affect_schema, track_schema, track_table
from service.commands.batch.pool import Emit, Tick
from service.commands.batch.sources import Source
from service.commands.clients import Where, ask_lines
from service.commands.track import FollowOptions
from service.track.clip_replies import TrackFrameLine

Rows = list[dict[str, Any]]
BATCH_ROWS = 2048


def as_parameters(options: FollowOptions | EstimateOptions) -> dict[str, Any]:
    """The options as plain values, to be compared with those of an earlier run."""
    if isinstance(options, FollowOptions):
        return {"what": "track", **asdict(options)}
    return {"what": "affect", **asdict(options)}


@dataclass(frozen=True)
class AnnotateJob:
    """From which place to which, by whom, and how clips are looked at."""

    source: str
    out: str
    where: Where
    options: FollowOptions | EstimateOptions

    def worker(self) -> "AnnotateWorker":
        """Return a worker with a client of its own; raises ConfigurationError."""
        return AnnotateWorker(self)


class AnnotateWorker:
    """Annotates one clip after the other: a row a face and frame, or a row a moment."""

    def __init__(self, job: AnnotateJob) -> None:
        self._source, self._out = TableFolder(job.source), TableFolder(job.out)
        self._job = job
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._client = self._stack.enter_context(self._job.where.client())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def work(self, source: Source, emit: Emit, tick: Tick) -> None:
        """Write a clip's table; raises CallError or OSError where that cannot be."""
        told = {"clip": source.name, "made_by": f"countenance {_version()}"}
        follows = isinstance(self._job.options, FollowOptions)
        schema = track_schema(told) if follows else affect_schema(told)
        with (
            self._fetched(source) as file,
            self._out.writing(result_name(source), draft_name(source)) as stream,
            Table(stream, schema) as table,
        ):
            for line in self._lines(file):
                if isinstance(line, ClipLine):
                    clip = line
                elif isinstance(line, TrackFrameLine):
                    table.put(track_table(source.name, line, clip))
                    tick(line.frame or 0, clip.expected_frames)
                elif isinstance(line, AffectFrameLine):
                    table.put(affect_rows(source.name, clip, line))
                    tick(line.frame or 0, clip.expected_frames)

    def _lines(self, file: BinaryIO) -> Iterator[TrackLine | AffectLine]:
        options, client = self._job.options, self._client
        if isinstance(options, FollowOptions):
            return ask_lines(lambda: client.track_lines(file, **asdict(options)))
        return ask_lines(lambda: client.affect_lines(file, **asdict(options)))

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
