"""Stages of the Dockerfile carried out in Debian roots, by root and chroot, without an engine."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.serving.replay import read_stages

SUITE = "bookworm"
CHROOT = "/usr/sbin/chroot"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = "ca-certificates,python3,python3-venv"
VARIABLE = re.compile(r"\$\{(\w+)\}")
# How pip reaches its index here is no business of the image's.
PASSED_ON = ("PIP_", "SSL_", "REQUESTS_CA", "CURL_CA", "HTTP_PROXY", "HTTPS_PROXY", "TORCH_INDEX")


@dataclass
class Image:
    """A root file system, and what ENV, USER, WORKDIR and CMD have said of it."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    directory: str = "/"
    user: str = "0:0"
    command: list[str] = field(default_factory=list)
    check: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """Where a path of the image lies outside of it."""
        return self.root / str(Path(self.directory, inside)).lstrip("/")


class Builder:
    """Carries out stages below `folder`, each once; `shared` are folders that pip reads there."""

    def __init__(self, dockerfile: Path, folder: Path, shared: Sequence[Path]) -> None:
        self._context = dockerfile.parent
        self._folder = folder
        self._shared = [*shared, Path("/etc/resolv.conf"), Path("/etc/ssl/certs")]
        self._shared += [path for path in (Path("/etc/pip.conf"),) if path.exists()]
        self._stages = read_stages(dockerfile)
        self._built: dict[str, Image] = {}

    def build(self, name: str) -> Image:
        """Return the image of a stage."""
        if name not in self._built:
            stage = self._stages.get(name)
            self._built[name] = self._base() if stage is None else self._carry_out(name)
        return self._built[name]

    def _carry_out(self, name: str) -> Image:
        stage = self._stages[name]
        before = self.build(stage.start)
        image = Image(self._folder / name, dict(before.environment), before.directory, before.user)
        shutil.rmtree(image.root, ignore_errors=True)
        copy(before.root, image.root)
        for keyword, rest in stage.instructions:
            print(f"{name}: {keyword} {rest[:90]}", flush=True)
            self._instruct(image, keyword, rest)
        return image

    def _instruct(self, image: Image, keyword: str, rest: str) -> None:
        if keyword == "RUN":
            with self._mounted(image):
                run_in(image, ["/bin/sh", "-euc", rest], passed_on())
        elif keyword == "COPY":
            self._copy(image, rest.split())
        elif keyword == "ENV":
            for pair in shlex.split(rest):
                key, _, value = pair.partition("=")
                image.environment[key] = VARIABLE.sub(
                    lambda found: image.environment.get(found[1], ""), value
                )
        elif keyword == "WORKDIR":
            image.directory = rest
            image.path(".").mkdir(parents=True, exist_ok=True)
        elif keyword == "USER":
            image.user = rest
        elif keyword == "CMD":
            image.command = shlex.split(rest.strip("[]").replace(",", " "))
        elif keyword == "HEALTHCHECK":
            image.check = shlex.split(rest.partition("CMD")[2].strip(" []").replace(",", " "))

    def _copy(self, image: Image, words: list[str]) -> None:
        *sources, target = words
        if sources[0].startswith("--from="):
            other = self.build(sources.pop(0).removeprefix("--from="))
            copy(other.path(sources[0]), image.path(target))
            return
        for source in sources:
            place = image.path(target)
            copy(self._context / source, place / source if target.startswith(".") else place)

    def _base(self) -> Image:
        """A small Debian with Python and pip where the official image has them."""
        root = self._folder / "base"
        if not root.exists():
            mirror = mirror_of_this_machine()
            subprocess.run(
                ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root, *mirror],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        if not (root / "usr/local/python/bin/pip").exists():
            run_in(Image(root), ["/usr/bin/python3", "-m", "venv", "/usr/local/python"], {})
        return Image(root, {"PATH": f"/usr/local/python/bin:{PATH}", "HOME": "/root"})

    @contextmanager
    def _mounted(self, image: Image) -> Iterator[None]:
        """Let a RUN read what the machine shares; nothing of it stays in the image."""
        with ExitStack() as stack:
            for path in self._shared:
                stack.enter_context(bound(path, image.root))
            yield


@contextmanager
def bound(path: Path, root: Path) -> Iterator[None]:
    """Show a folder or file of this machine at its own place below a root."""
    place = root / str(path).lstrip("/")
    made = not place.exists()
    if made and path.is_dir():
        place.mkdir(parents=True)
    elif made:
        place.touch()
    subprocess.run(["mount", "--bind", path.resolve(), place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
        if made:
            shutil.rmtree(place) if path.is_dir() else place.unlink()


def run_in(image: Image, command: Sequence[str], environment: dict[str, str]) -> None:
    """Run a command in a root, at its working directory; raises CalledProcessError."""
    inside = f'cd "{image.directory}" && exec "$0" "$@"'
    subprocess.run(
        [CHROOT, f"--userspec={image.user}", image.root, "/bin/sh", "-c", inside, *command],
        env={**image.environment, **environment},
        check=True,
    )


def passed_on() -> dict[str, str]:
    """What pip is told by the environment of this machine."""
    return {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder with all its attributes; into a folder that is there already."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", f"{source}/.", target], check=True)
    else:
        target = target / source.name if target.is_dir() else target
        shutil.copy(source, target)


def mirror_of_this_machine() -> list[str]:
    """The address that this machine's own packages come from, none for debootstrap's own."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"],
        capture_output=True,
        text=True,
    )
    found = [line.split()[0] for line in told.stdout.splitlines() if line.split()[1:] == [SUITE]]
    return found[:1]
