"""Names on the command line into photographs: files, folders of them, and `-` for stdin."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from service.commands.console import CommandError

STDIN = "-"
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})


def find_photos(names: Iterable[str]) -> list[str]:
    """The photographs that `names` mean, in order; of a folder all below it, sorted.

    Raises CommandError for a name that is neither file nor folder, and for a folder without any.
    """
    return [photo for name in names for photo in _expand(name)]


def _expand(name: str) -> Iterator[str]:
    if name == STDIN or Path(name).is_file():
        yield name
        return
    if not Path(name).is_dir():
        raise CommandError(f"{name} is neither a file nor a folder")
    found = [path for path in sorted(Path(name).rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not found:
        raise CommandError(f"{name} holds no photograph ({', '.join(sorted(SUFFIXES))})")
    yield from map(str, found)


def read_photo(name: str) -> bytes:
    """The encoded picture; raises OSError."""
    return sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()


class OverlayNames:
    """Where drawn pictures go: a photograph's own name, numbered where two would be the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[Path] = set()

    def name_for(self, photo: str) -> Path:
        """A path that this object has not given before."""
        stem = "stdin" if photo == STDIN else Path(photo).stem
        path, number = self._folder / f"{stem}.png", 1
        while path in self._taken:
            number += 1
            path = self._folder / f"{stem}-{number}.png"
        self._taken.add(path)
        return path
