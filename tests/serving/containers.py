"""docker-compose.yml carried out by podman, as root on Debian.

What the Dockerfile and compose would pull is made of Debian's packages where no registry of images
is reached.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.serving.composing import load
from tests.serving.debian import (
    CONTAINERFILES,
    PATH,
    make_root,
    python_image,
    write_engine_conf,
    write_pip_conf,
)

ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yml", "docker-compose.cpu.yml")
# Apart from a deployment that may be there: of other names, and images of another tag.
PROJECT, TAG = "countenance-proof", "proof"
HTTP, HTTPS = 18000, 18443


class Engine:
    """podman and podman-compose; `shared` are folders of this machine that a build's pip reads.

    What is only for this machine lies in `folder`; images that were made in the place of others are
    removed by `close`.
    """

    def __init__(self, folder: Path, compose: Path, shared: Sequence[Path]) -> None:
        self._folder, self._compose = folder, compose
        mounts = {path: path for path in (*shared, Path("/etc/ssl/certs"))}
        mounts[write_pip_conf(folder / "pip.conf")] = Path("/etc/pip.conf")
        self._mounts = [f"--volume={path.resolve()}:{place}:ro" for path, place in mounts.items()]
        conf = write_engine_conf(folder / "containers.conf")
        named = {"COUNTENANCE_TAG": TAG, "COUNTENANCE_PREVIOUS_TAG": TAG}
        named |= {
            "COUNTENANCE_PORTS": str(HTTP),
            "COUNTENANCE_HTTPS_PORT": str(HTTPS),
            "COUNTENANCE_HTTP_PORT": str(HTTPS + 1),
        }
        self._environment = {**os.environ, **named, "CONTAINERS_CONF": str(conf)}
        self._made: list[str] = []

    def close(self) -> None:
        """Remove every image that was made."""
        self.does("rmi", "--force", *self._made)

    def podman(self, *words: str) -> str:
        """Run podman; returns what it prints, raises CalledProcessError."""
        return checked(self._run(["podman", *words]))

    def does(self, *words: str) -> tuple[bool, str]:
        """Whether podman succeeds, and what it says."""
        run = self._run(["podman", *words])
        return run.returncode == 0, (run.stdout + run.stderr).strip()

    def compose(self, *words: str, files: Sequence[Path] = ()) -> None:
        """Run podman-compose over the files without a GPU and then `files`; as `podman`."""
        given = [f"--file={path}" for path in (*(ROOT / name for name in FILES), *files)]
        checked(self._run([self._compose, f"--project-name={PROJECT}", *given, *words]))

    def build(self, target: str) -> int:
        """Build an image of the Dockerfile under compose's name; returns its size in bytes."""
        index = os.environ.get("TORCH_INDEX")
        arguments = [f"--build-arg=TORCH_INDEX={index}"] if index else []
        return self._build(f"countenance-{target}:{TAG}", f"--target={target}", *arguments, ROOT)

    def provide(self) -> None:
        """Get the images that the Dockerfile and compose name: pulled, or else made."""
        python = full_name(python_image())
        if not self._is_there(python):
            self._import_debian(python)
        services = load(ROOT / FILES[0])["services"]
        for name, containerfile in CONTAINERFILES.items():
            image = full_name(services[name]["image"])
            if not self._is_there(image):
                file = self._folder / f"{name}.containerfile"
                file.write_text(f"FROM {python}\n{containerfile}\n")
                self._build(image, f"--file={file}", self._folder)

    def names(self, service: str) -> list[str]:
        """The containers of one service that run, in order."""
        label = f"label=com.docker.compose.service={service}"
        ours = f"label=io.podman.compose.project={PROJECT}"
        words = ("ps", "--filter", label, "--filter", ours, "--format={{.Names}}")
        return sorted(self.podman(*words).split())

    def look(self, container: str) -> dict[str, Any]:
        """What podman knows of a container."""
        return json.loads(self.podman("inspect", container))[0]  # type: ignore[no-any-return]

    def _is_there(self, image: str) -> bool:
        return self.does("image", "exists", image)[0] or self.does("pull", "--quiet", image)[0]

    def _build(self, image: str, *arguments: str | Path) -> int:
        print(f"building {image}", flush=True)
        self._made.append(image)
        common = ["--format=docker", "--layers=false", "--network=host", "--pull=never"]
        self.podman("build", *common, *self._mounts, f"--tag={image}", *map(str, arguments))
        return int(self.podman("image", "inspect", "--format={{.Size}}", image))

    def _import_debian(self, image: str) -> None:
        print(f"making {image} of Debian's packages", flush=True)
        self._made.append(image)
        root = self._folder / "debian"
        make_root(root)
        archive = self._folder / "debian.tar"
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        self.podman("import", "--quiet", f"--change=ENV PATH={PATH}", str(archive), image)

    def _run(self, command: Sequence[str | Path]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, cwd=ROOT
        )


def checked(run: "subprocess.CompletedProcess[str]") -> str:
    """What a command has printed; raises CalledProcessError, and shows why, where it failed."""
    if run.returncode:
        print(run.stdout, run.stderr, sep="\n")
    run.check_returncode()
    return run.stdout


def full_name(image: str) -> str:
    """An image's name with its registry."""
    return f"docker.io/{image}" if "/" in image else f"docker.io/library/{image}"
