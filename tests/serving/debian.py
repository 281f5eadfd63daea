"""What podman is told of this machine, and images of Debian's packages in place of pulled ones."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
PACKAGES = "ca-certificates,python3,python3-venv"
PYTHON = "usr/local/python"
PATH = f"/{PYTHON}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What Debian's slim images, which the official image of Python is made of, leave out too.
LEFT_OUT = (
    *(f"usr/share/{name}" for name in ("doc", "groff", "info", "lintian", "locale", "man")),
    "var/cache/apt",
    "var/lib/apt/lists",
)
LIMIT = 16_384
INSTALL = "RUN apt-get update && apt-get install --yes --no-install-recommends"
CONTAINERFILES = {
    "redis": f"{INSTALL} redis-server",
    "prometheus": (
        f"{INSTALL} prometheus && install --directory --owner=nobody /prometheus\n"
        'USER nobody\nENTRYPOINT ["/usr/bin/prometheus"]'
    ),
    # Debian's package gives the folder of certificates to a user that the container is not.
    "proxy": f"{INSTALL} caddy && rm -r /var/lib/caddy",
}


def python_image() -> str:
    """The name of the image that the Dockerfile starts from, without its registry."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (named,) = (line for line in lines if line.startswith("ARG PYTHON_IMAGE="))
    return named.partition("=")[2]


def make_root(root: Path) -> None:
    """A slim Debian at `root`, with Python and pip where PATH has them."""
    mirror = mirror_of_this_machine()
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root, *mirror]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["chroot", root, "/usr/bin/python3", "-m", "venv", f"/{PYTHON}"], check=True)
    for name in LEFT_OUT:
        shutil.rmtree(root / name, ignore_errors=True)


def mirror_of_this_machine() -> list[str]:
    """The address that this machine's own packages come from, none for debootstrap's own."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"],
        capture_output=True,
        text=True,
    )
    found = [line.split()[0] for line in told.stdout.splitlines() if line.split()[1:] == [SUITE]]
    return found[:1]


def write_pip_conf(path: Path) -> Path:
    """Write what pip is told here, by its file and by PIP_ variables, into one file."""
    config = configparser.ConfigParser(interpolation=None)
    config["global"] = {}
    config.read("/etc/pip.conf")
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            config["global"][name.removeprefix("PIP_").lower().replace("_", "-")] = value
    with path.open("w") as file:
        config.write(file)
    return path


def write_engine_conf(path: Path) -> Path:
    """Write the settings of podman: limits that a machine of few rights allows, and runc."""
    limits = ", ".join(f'"{name}={LIMIT}:{LIMIT}"' for name in ("nofile", "nproc"))
    runtime = '[engine]\nruntime = "runc"\n' if shutil.which("runc") else ""
    path.write_text(f"[containers]\ndefault_ulimits = [{limits}]\n{runtime}")
    return path
