"""Where results go: into files that are whole or not there, or in one stream to stdout."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from service.commands.batch.sources import Source, name_results
from service.commands.console import CommandError


@dataclass(frozen=True)
class Plan:
    """Which files belong to each source; `paths` maps a source's own path to those by suffix."""

    paths: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)

    def path(self, source: Source, suffix: str) -> Path | None:
        """The file with `suffix` of a source, None where none is wanted."""
        return self.paths.get(source.path, {}).get(suffix)

    def is_done(self, source: Source) -> bool:
        """Whether all files of a source are there; a source without files never is."""
        files = self.paths.get(source.path, {})
        return bool(files) and all(path.exists() for path in files.values())


def plan_results(sources: Sequence[Source], folders: Mapping[str, Path | None]) -> Plan:
    """The files by suffix in the folder of each; a folder of None makes none."""
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
    """The files in `folders`, and beside them one with `suffix` in the folder `place`.

    A `place` that ends as one of `endings` is the file itself. Raises CommandError where that
    would be one file for several sources.
    """
    if place is None or place.suffix.lower() not in endings:
        return plan_results(sources, {**folders, suffix: place})
    if len(sources) > 1:
        raise CommandError(f"{place} is one file for {len(sources)} clips: name a folder")
    path = sources[0].path
    files = dict(plan_results(sources, folders).paths[path])
    return Plan({path: {**files, suffix: place}})


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A file that is never seen half: whoever is stopped leaves the old one or none."""
    with draft_of(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A place beside `path` whose file takes its name once the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
