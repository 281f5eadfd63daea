"""Clips of a folder or bucket into one Parquet file each, whole or not there."""

import importlib
import json
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, Self

from service.affect.clip import COLUMNS, table_rows
from service.affect.replies import QUADRANTS, AffectFrameLine, AffectMoment
from service.client import Countenance
from service.clips.replies import ClipHead, ClipLine
from service.commands.console import CommandError
from service.commands.files import CLIPS, Emit, Source
from service.commands.options import ask_lines
from service.commands.running import Job, Tick
from service.track.clip import TRACK_COLUMNS, track_rows
from service.track.replies import TrackFrameLine, TrackMoment

# Readers of data sets pass over names that begin so.
DRAFTS = "_drafts"
PARAMETERS = "_annotate.json"
SUFFIX = ".parquet"
Rows = list[dict[str, Any]]
BATCH_ROWS = 2048  # of a Parquet batch: memory holds no table of a long clip
WHOLE = {"frame", "face_id", "success"}
TEXT = {"clip", "status", "degradation", "variant", "quadrant", "model", "model_version"}
TRUTHS = {"face", "voice"}
LISTS = ("attention", "attention_ages_s")  # over past states, the oldest first
# The columns of `countenance track --csv`; and those of the service's table of affect, then D's
# quadrants and attention.
TRACK_TABLE = ("clip", *TRACK_COLUMNS)
AFFECT_TABLE = ("clip", *COLUMNS, *(f"p_{name}" for name in QUADRANTS), *LISTS, "variant")


class TableFolder:
    """A folder of a file system of pyarrow: here, or at an address such as s3://bucket/videos."""

    def __init__(self, address: str) -> None:
        """Raise CommandError for an address of no known kind, ModuleNotFoundError of pyarrow."""
        self._fs: Any = importlib.import_module("pyarrow.fs")
        whole = address if "://" in address else str(Path(address).absolute())
        try:
            self.files, self.root = self._fs.FileSystem.from_uri(whole)
        except (OSError, ValueError) as error:
            raise CommandError(f"{address} cannot be reached: {error}") from error

    def path(self, name: str) -> str:
        """Return the path of a name in this place."""
        return f"{self.root.rstrip('/')}/{name}"

    def walk(self) -> Iterator[tuple[str, int | None]]:
        """Yield the name of every file below, and its time of change, in nanoseconds."""
        selector = self._fs.FileSelector(self.root, recursive=True, allow_not_found=True)
        for info in self.files.get_file_info(selector):
            if info.type == self._fs.FileType.File:
                yield str(PurePosixPath(info.path).relative_to(self.root)), info.mtime_ns

    @contextmanager
    def writing(self, name: str, draft: str) -> Iterator[Any]:
        """Open a draft, which takes its name once the block ends well."""
        path, final = self.path(f"{DRAFTS}/{draft}"), self.path(name)
        self.files.create_dir(str(PurePosixPath(path).parent), recursive=True)
        self.files.create_dir(str(PurePosixPath(final).parent), recursive=True)
        try:
            with self.files.open_output_stream(path) as stream:
                yield stream
            self.files.move(path, final)
        except BaseException:
            with suppress(OSError):
                self.files.delete_file(path)
            raise

    def clear_drafts(self) -> None:
        """Remove what workers that were killed have left."""
        with suppress(OSError):
            self.files.delete_dir(self.path(DRAFTS))


def result_name(source: Source) -> str:
    """Return the name of a clip's result: its own below the place, so that no other has it."""
    return source.name + SUFFIX


def take_stock(source: TableFolder, out: TableFolder) -> tuple[list[Source], list[Source]]:
    """Return the clips by their names, and those whose results are missing or older than they."""
    results = dict(out.walk())
    clips, todo = [], []
    for name, changed in sorted(source.walk()):
        if PurePosixPath(name).suffix.lower() not in CLIPS or DRAFTS in PurePosixPath(name).parts:
            continue
        clip = Source(source.path(name), name)
        clips.append(clip)
        # -1 is no result; None is one of a store that tells no times, which is kept.
        made = results.get(result_name(clip), -1)
        if made == -1 or (made is not None and changed is not None and made < changed):
            todo.append(clip)
    if not clips:
        raise CommandError(f"{source.root} holds no clip ({', '.join(sorted(CLIPS))})")
    return clips, todo


def agree_on(out: TableFolder, parameters: dict[str, Any]) -> None:
    """Note how results are made; raises CommandError where those there were made otherwise."""
    wanted = json.dumps(parameters, indent=2, sort_keys=True)
    with suppress(FileNotFoundError):
        with out.files.open_input_stream(out.path(PARAMETERS)) as stream:
            found = stream.read().decode()
        if found != wanted:
            raise CommandError(
                f"{out.root} holds results that were made otherwise ({' '.join(found.split())}): "
                "name another folder"
            )
        return
    with out.writing(PARAMETERS, f"{PARAMETERS}.part") as stream:
        stream.write(wanted.encode())


@dataclass(frozen=True)
class AnnotateJob(Job):
    """Clips of one folder into tables in another: a row a face and frame, or a row a moment."""

    source: str
    out: str
    what: Literal["track", "affect"]
    how: Mapping[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """The options as plain values, to be compared with those of an earlier run."""
        return {"what": self.what, **self.how}

    def work(self, client: Countenance, source: Source, emit: Emit, tick: Tick) -> None:
        """Write a clip's table; raises CallError or OSError where that cannot be."""
        told = {"clip": source.name, "made_by": f"countenance {_version()}"}
        columns = TRACK_TABLE if self.what == "track" else AFFECT_TABLE
        ask_for = client.track_lines if self.what == "track" else client.affect_lines
        with (
            _fetched(_folder(self.source), source) as file,
            _folder(self.out).writing(result_name(source), draft_name(source)) as stream,
            Table(stream, schema_of(columns, told)) as table,
        ):
            for line in ask_lines(lambda: ask_for(file, **self.how)):
                if isinstance(line, ClipLine):
                    clip = line
                elif isinstance(line, TrackFrameLine):
                    table.put(track_table(source.name, line, clip))
                    tick(line.frame or 0, clip.expected_frames)
                elif isinstance(line, AffectFrameLine):
                    table.put(affect_rows(source.name, clip, line))
                    tick(line.frame or 0, clip.expected_frames)
                else:
                    table.note(line.notes)


@cache
def _folder(address: str) -> TableFolder:
    """Return a folder, opened once in each process."""
    return TableFolder(address)


@contextmanager
def _fetched(folder: TableFolder, source: Source) -> Iterator[BinaryIO]:
    """Give a clip as a file of this machine, from wherever it lies; memory holds none of it."""
    with tempfile.TemporaryFile() as file:
        with folder.files.open_input_stream(source.path) as stream:
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

    def note(self, notes: Sequence[str]) -> None:
        """Keep what people should know of the clip beside the table, in the file's metadata."""
        self._writer.add_key_value_metadata({"notes": json.dumps(notes)})

    def _write(self) -> None:
        self._writer.write_batch(
            self._arrow.RecordBatch.from_pylist(self._rows, schema=self._schema)
        )
        self._rows = []


def draft_name(source: Source) -> str:
    """Return a name that no other worker's draft has, and that says whose it is."""
    whose = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return f"{Path(source.name).name}.{whose}.part"


def _version() -> str:
    try:
        return version("countenance")
    except PackageNotFoundError:
        return "from source"


def schema_of(columns: Sequence[str], metadata: dict[str, str]) -> Any:
    """Return the schema of columns; what no table below names is a number, as float32."""
    arrow: Any = importlib.import_module("pyarrow")
    kinds = {
        **dict.fromkeys(WHOLE, arrow.int32()),
        **dict.fromkeys(TEXT, arrow.string()),
        **dict.fromkeys(TRUTHS, arrow.bool_()),
        **dict.fromkeys(LISTS, arrow.list_(arrow.float32())),
        "timestamp": arrow.float64(),
    }
    fields = [(name, kinds.get(name, arrow.float32())) for name in columns]
    return arrow.schema(fields, metadata=metadata)


def track_table(clip: str, moment: TrackMoment, head: ClipHead) -> Rows:
    """Return the rows of one frame, by column."""
    rows = track_rows(moment, head)
    return [{"clip": clip, **dict(zip(TRACK_COLUMNS, row, strict=True))} for row in rows]


def affect_rows(clip: str, head: ClipHead, moment: AffectMoment) -> Rows:
    """Return the rows of one moment, by column; None where not known."""
    quadrants = {str(name): share for name, share in (moment.quadrants or {}).items()}
    told: dict[str, Any] = {
        **{f"p_{name}": quadrants.get(name) for name in QUADRANTS},
        "attention": moment.attention,
        "attention_ages_s": moment.attention_ages_s,
    }
    rows = []
    for place, values in enumerate(table_rows(moment, head)):
        row = dict(zip(COLUMNS, values, strict=True))
        row |= {name: bool(row[name]) for name in TRUTHS}
        row |= told if place == 0 else dict.fromkeys(told)
        rows.append({"clip": clip, **row, "variant": head.variant})
    return rows
