"""One clip of a place after the other into one Parquet file each, whole or not there."""

import importlib
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Self

from service.commands.annotate.kinds import Rows, choose_annotator
from service.commands.annotate.places import Place, result_name
from service.commands.batch.pool import Emit, Tick
from service.commands.batch.sources import Source
from service.commands.estimators import EstimateOptions
from service.commands.followers import FollowOptions
from service.commands.here import Here
from service.commands.there import There

BATCH_ROWS = 2048


@dataclass(frozen=True)
class AnnotateJob:
    """From which place to which, by whom, and how clips are looked at."""

    source: str
    out: str
    where: Here | There
    options: FollowOptions | EstimateOptions
    model_store: Path | None = None

    def hire(self) -> "AnnotateWorker":
        """A worker with a model or a connection of its own; raises ConfigurationError."""
        return AnnotateWorker(self)


class AnnotateWorker:
    """Annotates one clip after the other."""

    def __init__(self, job: AnnotateJob) -> None:
        self._source, self._out = Place(job.source), Place(job.out)
        self._annotator = choose_annotator(job.where, job.options, job.model_store)

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
