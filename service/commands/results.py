"""Where results go: into files that are whole or not there, or in one stream to stdout."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.commands.sources import Source, name_results


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


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is never seen half: whoever is stopped leaves the old one or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        # mkstemp lets nobody else read; results are for everybody that the umask allows.
        Path(draft).chmod(0o666 & ~_umask())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
