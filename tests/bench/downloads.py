"""What a first `make run` downloads where there is no GPU: this tree beside another commit of it.

    python -m tests.bench.downloads COMMIT

The wheels that pip would choose of what each locks, for this Python and system, and their sizes as
the package index tells them; nothing is downloaded.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from tests.serving.deployment import ROOT

RANKS = {tag: rank for rank, tag in enumerate(sys_tags())}
PROJECT = ("pyproject.toml", "requirements.lock")


def locked(commit: str) -> list[dict[str, Any]]:
    """Return the packages of the extra `models`, with their files."""
    with tempfile.TemporaryDirectory() as folder:
        for name in PROJECT:
            show = ["git", "-C", str(ROOT), "show", f"{commit}:{name}"]
            Path(folder, name).write_bytes(subprocess.check_output(show))
        command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet"]
        command += ["pyproject.toml", "--extra", "models", "--constraint", "requirements.lock"]
        command += ["--python", sys.executable, "--format", "pylock.toml", "-o", "pylock.toml"]
        subprocess.run(command, cwd=folder, check=True)
        packages: list[dict[str, Any]] = tomllib.loads(Path(folder, "pylock.toml").read_text())[
            "packages"
        ]
        return packages


def megabytes(package: dict[str, Any]) -> float:
    """Return the size of the file that pip would take: the wheel that fits best, else sources."""
    wheels = [(rank, wheel) for wheel in package.get("wheels", ()) if (rank := _rank(wheel)) >= 0]
    chosen = min(wheels, key=lambda one: one[0])[1] if wheels else package["sdist"]
    return float(chosen["size"]) / 1e6


def _rank(wheel: dict[str, Any]) -> int:
    name = wheel.get("name") or wheel["url"].rpartition("/")[2].replace("%2B", "+")
    return min((RANKS[tag] for tag in parse_wheel_filename(name)[3] if tag in RANKS), default=-1)


def total(commit: str) -> float:
    """Return the megabytes of all packages."""
    return round(sum(map(megabytes, locked(commit))), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("commit")
    parser.add_argument("--out", type=Path, help="a file for what is printed")
    options = parser.parse_args()
    here, there = total("HEAD"), total(options.commit)
    found = {
        "command": " ".join(["python -m tests.bench.downloads", *sys.argv[1:]]),
        "figures": {
            "download_mb": {"here": here, options.commit: there, "ratio": round(here / there, 2)}
        },
    }
    text = json.dumps(found, indent=2) + "\n"
    if options.out:
        options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
