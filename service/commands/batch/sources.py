"""Names on the command line into files to look at: files, folders of them, and `-` for stdin."""

import hashlib
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.commands.console import CommandError

STDIN = "-"
# Every name that files have which the service reads.
PHOTOS = frozenset(
    {".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".png", ".webp"}
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
    """The files that `names` mean, in order and each once; of a folder all below it, sorted.

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


def read_source(source: Source) -> bytes:
    """The bytes of a file or of stdin; raises OSError."""
    if source.path == STDIN:
        return sys.stdin.buffer.read()
    return Path(source.path).read_bytes()


def name_results(sources: Sequence[Source]) -> Mapping[Source, Path]:
    """A relative path without suffix for what belongs to each source, no two the same.

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
