"""Names on the command line into files to look at, and the files of their results."""

import hashlib
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from service.commands.console import CommandError

# Given what is to be printed, as soon as it is known.
Emit = Callable[[str], object]

STDIN = "-"
# Every name that files have which the service reads.
PHOTOS = frozenset(
    {
        *(".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg"),
        *(".jpg", ".mpo", ".png", ".webp"),
    }
)
CLIPS = frozenset(
    {
        *(".3g2", ".3gp", ".avi", ".m1v", ".m2ts", ".m2v", ".m4v", ".mj2", ".mkv", ".mov", ".mp4"),
        *(".mpe", ".mpeg", ".mpg", ".mts", ".ogv", ".qt", ".ts", ".vob", ".webm"),
    }
)
SOUNDS = frozenset(
    {".aac", ".flac", ".m4a", ".m4b", ".mka", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".weba"}
)


@dataclass(frozen=True)
class Source:
    """Something to look at: its path as it was given, and its name below the folder named."""

    path: str
    name: str
    is_camera: bool = False


def find_sources(names: Iterable[str], suffixes: Collection[str], what: str) -> list[Source]:
    """Return the files that `names` mean, in order and each once; of a folder all below it, sorted.

    Raises CommandError for a name that is neither file nor folder, and for a folder without any
    `what`.
    """
    found = [source for name in names for source in _expand(name, suffixes, what)]
    return list({source.path: source for source in found}.values())


def _expand(name: str, suffixes: Collection[str], what: str) -> Iterator[Source]:
    path = Path(name)
    if name == STDIN:
        yield Source(STDIN, "stdin")
    elif path.is_dir():
        yield from _walk(path, suffixes, what)
    elif path.exists():
        yield Source(name, path.name)
    else:
        raise CommandError(f"{name} is neither a file nor a folder")


def _walk(folder: Path, suffixes: Collection[str], what: str) -> Iterator[Source]:
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes]
    if not found:
        raise CommandError(f"{folder} holds no {what} ({', '.join(sorted(suffixes))})")
    for path in found:
        yield Source(str(path), str(path.relative_to(folder)))


def left_out(names: Iterable[str], suffixes: Collection[str]) -> list[Path]:
    """Return the files below the folders among `names` that `find_sources` does not take."""
    folders = [Path(name) for name in names if name != STDIN and Path(name).is_dir()]
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix.lower() not in suffixes
    ]


def is_photo(source: Source) -> bool:
    """Tell whether a file is a photograph by its name."""
    return Path(source.path).suffix.lower() in PHOTOS


def read_source(source: Source) -> bytes:
    """Return the bytes of a file or of stdin; raises OSError."""
    if source.path == STDIN:
        return sys.stdin.buffer.read()
    return Path(source.path).read_bytes()


def name_results(sources: Sequence[Source]) -> Mapping[Source, Path]:
    """Return a relative path without suffix for each source's results, no two the same.

    That is the source's name without its suffix, or with it where two differ in nothing else; a
    number made of the path tells apart what even then would be the same. So a name never passes
    from one source to another when sources are added.
    """
    bare = Counter(Path(source.name).with_suffix("") for source in sources)
    full = Counter(Path(source.name) for source in sources)
    named: dict[Source, Path] = {}
    for source in sources:
        path = Path(source.name)
        if bare[path.with_suffix("")] == 1:
            named[source] = path.with_suffix("")
        elif full[path] == 1:
            named[source] = path
        else:
            mark = hashlib.sha256(str(Path(source.path).absolute()).encode()).hexdigest()[:8]
            named[source] = path.with_name(f"{path.name}-{mark}")
    return named


@dataclass(frozen=True)
class Plan:
    """The files of each source; `paths` maps a source's own path to those by suffix."""

    paths: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)

    def path(self, source: Source, suffix: str) -> Path | None:
        """Return the file with `suffix` of a source, None where none is wanted."""
        return self.paths.get(source.path, {}).get(suffix)

    def is_done(self, source: Source) -> bool:
        """Tell whether all files of a source are there; a source without files never is done."""
        files = self.paths.get(source.path, {})
        return bool(files) and all(path.exists() for path in files.values())

    def without(self, suffix: str, sources: Iterable[Source]) -> "Plan":
        """Return the plan in which these sources have no file with `suffix`."""
        spared = {source.path for source in sources}
        return Plan(
            {
                path: {end: file for end, file in files.items() if end != suffix}
                if path in spared
                else files
                for path, files in self.paths.items()
            }
        )


def plan_results(sources: Sequence[Source], folders: Mapping[str, Path | None]) -> Plan:
    """Plan the files by suffix in the folder of each; a folder of None makes none."""
    names = name_results(sources)
    wanted = {suffix: folder for suffix, folder in folders.items() if folder is not None}
    return Plan(
        {
            source.path: {
                suffix: folder / name.with_name(name.name + suffix)
                for suffix, folder in wanted.items()
            }
            for source, name in names.items()
        }
    )


def plan_with(
    sources: Sequence[Source],
    folders: Mapping[str, Path | None],
    suffix: str,
    place: Path | None,
    endings: Collection[str],
) -> Plan:
    """Plan the files in `folders`, and beside them one with `suffix` in the folder `place`.

    A `place` that ends as one of `endings` is the file itself. Raises CommandError where that
    would be one file for several sources.
    """
    if place is None or place.suffix.lower() not in endings:
        return plan_results(sources, {**folders, suffix: place})
    if len(sources) > 1:
        raise CommandError(f"{place} is one file for {len(sources)} sources: name a folder")
    path = sources[0].path
    files = dict(plan_results(sources, folders).paths[path])
    return Plan({path: {**files, suffix: place}})


@contextmanager
def writing(path: Path | None, header: str, emit: Emit) -> Iterator[Emit]:
    """Return what writes into a whole file below `header`; `emit` where there is no file."""
    if path is None:
        yield emit
        return
    with whole_file(path) as text:
        text.write(header)
        yield text.write


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Open a file that is never seen half: a program that is stopped leaves the old one or none."""
    # Tables have their line ends already, which Windows would double.
    with draft_of(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Give a path beside `path` whose file takes its name once the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: another program may be writing the same result.
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
