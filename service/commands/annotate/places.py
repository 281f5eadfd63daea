"""A folder or bucket by its address: its clips, and the results that are there already."""

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from service.commands.batch.files import CLIPS, Source
from service.commands.console import CommandError

# Readers of data sets pass over names that begin so.
DRAFTS = "_drafts"
PARAMETERS = "_annotate.json"
SUFFIX = ".parquet"


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


@dataclass(frozen=True)
class Inventory:
    """The clips of a place in the order of their names, and those whose results are missing."""

    clips: list[Source]
    todo: list[Source]


def result_name(source: Source) -> str:
    """Return the name of a clip's result: its own below the place, so that no other has it."""
    return source.name + SUFFIX


def take_stock(source: TableFolder, out: TableFolder) -> Inventory:
    """Find the clips to be done; a result that is older than its clip counts for nothing."""
    results = dict(out.walk())
    clips, todo = [], []
    for name, changed in sorted(source.walk()):
        if PurePosixPath(name).suffix.lower() not in CLIPS or DRAFTS in PurePosixPath(name).parts:
            continue
        clip = Source(source.path(name), name)
        clips.append(clip)
        made = results.get(result_name(clip), -1)
        if made == -1 or (made is not None and changed is not None and made < changed):
            todo.append(clip)
    if not clips:
        raise CommandError(f"{source.root} holds no clip ({', '.join(sorted(CLIPS))})")
    return Inventory(clips, todo)


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
