"""Stages of the Dockerfile carried out below a folder, without a container engine or root's rights.

What stands for a file system is a folder with `opt` and `src` in it; absolute paths of the
instructions are moved there. Users, volumes and what ENTRYPOINTs need are not the point here.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

MOVED = re.compile(r"(?<![\w./])/(opt|src)\b")


@dataclass
class Stage:
    """The instructions of one stage, and the stage or image that it starts from."""

    start: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


def read_stages(dockerfile: Path) -> dict[str, Stage]:
    """The stages by name."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    stages: dict[str, Stage] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            start, _, name = rest.partition(" AS ")
            stages[name] = current = Stage(start)
        elif keyword and keyword != "ARG":
            current.instructions.append((keyword, rest.strip()))
    return stages


@dataclass
class Replay:
    """Carries stages out: sources come from `context`, `python` stands for the image's."""

    dockerfile: Path
    context: Path
    folder: Path
    python: Path

    def build(self, name: str) -> Path:
        """Carry out a stage and those it starts from; return its file system."""
        root = self.folder / name
        root.mkdir()
        directory = root
        for keyword, rest in self.instructions(name):
            if keyword == "WORKDIR":
                directory = Path(self.moved(rest, root))
                directory.mkdir(parents=True, exist_ok=True)
            elif keyword == "COPY" and not rest.startswith("--from"):
                self.copy(rest.split(), directory)
            elif keyword == "RUN":
                self.run(self.moved(rest, root), directory)
        return root

    def instructions(self, name: str) -> list[tuple[str, str]]:
        """Those of a stage behind those of the stage that it starts from."""
        stages = read_stages(self.dockerfile)
        stage = stages[name]
        before = self.instructions(stage.start) if stage.start in stages else []
        return before + stage.instructions

    def copy(self, names: list[str], directory: Path) -> None:
        """Copy folders and files of the context."""
        *sources, target = names
        for source in sources:
            if (self.context / source).is_dir():
                shutil.copytree(self.context / source, directory / target)
            else:
                shutil.copy(self.context / source, directory / target)

    def run(self, command: str, directory: Path) -> None:
        """Run one line of shell."""
        path = f"{directory}/bin:/usr/bin:/bin"
        script = f'python() {{ "{self.python}" "$@"; }}\n{command}'
        environment = {"PATH": path, "HOME": str(self.folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        subprocess.run(["sh", "-euc", script], cwd=directory, env=environment, check=True)

    def moved(self, text: str, root: Path) -> str:
        """Absolute paths, below the root."""
        return MOVED.sub(lambda found: f"{root}/{found[1]}", text)
