"""Build the images without an engine and start them as compose would: needs root, on Debian.

    python -m tests.serving.prove_images [--folder DIR] [--share DIR ...]

Each stage of the Dockerfile is carried out in a root made by debootstrap. The image `models` then
runs as its own user on a read-only root in a network namespace of its own; the image `service` in
another one, which reaches the first and nothing else. `--share` names folders that pip's
configuration on this machine points to. All addresses lie in namespaces made here.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.serving.chroot import CHROOT, Builder, Image

ROOT = Path(__file__).parents[2]
MODELS, SERVICE = "cnt-models", "cnt-service"
ADDRESSES = {MODELS: "10.203.0.2", SERVICE: "10.203.0.3"}
READY_S = 300.0
REACH = "import socket; socket.create_connection(('{}', {}), 3)"
READY = (
    "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=10); "
    "c.request('GET', '/health/ready'); r = c.getresponse(); print(r.read().decode()); "
    "raise SystemExit(r.status != 200)"
)


@contextmanager
def namespaces() -> Iterator[None]:
    """Two network namespaces joined by a cable, and no way out of either."""
    try:
        for name in ADDRESSES:
            run("ip", "netns", "add", name)
        run("ip", "link", "add", "cnt0", "netns", MODELS, "type", "veth", "peer", "name", "cnt0",
            "netns", SERVICE)  # fmt: skip
        for name, address in ADDRESSES.items():
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "cnt0")
            for device in ("cnt0", "lo"):
                run("ip", "-n", name, "link", "set", device, "up")
        yield
    finally:
        for name in ADDRESSES:
            with suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", name)


@contextmanager
def container(image: Image, namespace: str, *tmpfs: str, **settings: str) -> Iterator["Container"]:
    """Start what the image's CMD says, on a read-only root with a few places to write to."""
    with ExitStack() as stack:
        run("mount", "--bind", str(image.root), str(image.root))
        stack.callback(run, "umount", "--lazy", str(image.root))
        for kind, place in (("proc", "proc"), ("devtmpfs", "dev")):
            run("mount", "-t", kind, kind, str(image.root / place))
            stack.callback(run, "umount", "--lazy", str(image.root / place))
        for place in tmpfs:
            user, group = image.user.split(":")
            options = f"uid={user},gid={group},mode=0700"
            run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(image.root / place))
            stack.callback(run, "umount", "--lazy", str(image.root / place))
        run("mount", "-o", "remount,ro,bind", str(image.root))
        here = Container(image, namespace, settings)
        process = here.popen(image.command)
        stack.callback(process.wait, 60)
        stack.callback(process.terminate)
        yield here


class Container:
    """A started image, and commands beside what it runs."""

    def __init__(self, image: Image, namespace: str, settings: dict[str, str]) -> None:
        self._image = image
        self._namespace = namespace
        self._settings = settings

    def popen(self, command: list[str], **options: object) -> "subprocess.Popen[str]":
        """Start a command as the image's user, in its namespace and its root."""
        inside = f'cd "{self._image.directory}" && exec "$0" "$@"'
        outer = ["/usr/sbin/ip", "netns", "exec", self._namespace, CHROOT]
        outer += [f"--userspec={self._image.user}", str(self._image.root), "/bin/sh", "-c", inside]
        environment = {**self._image.environment, **self._settings}
        return subprocess.Popen([*outer, *command], env=environment, text=True, **options)  # type: ignore[call-overload, no-any-return]

    def does(self, *command: str) -> tuple[bool, str]:
        """Whether a command succeeds, and what it says."""
        process = self.popen(list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        told, _ = process.communicate(timeout=120)
        return process.returncode == 0, told.strip()


def prove(folder: Path, shared: list[Path]) -> dict[str, object]:
    """Build both images, start them, and try what they should and should not be able to do."""
    builder = Builder(ROOT / "Dockerfile", folder, shared)
    models, service = builder.build("models"), builder.build("service")
    found: dict[str, object] = {
        "models_mb": size_mb(models.root),
        "service_mb": size_mb(service.root),
    }
    settings = {
        "COUNTENANCE_INFERENCE": f"http://{ADDRESSES[MODELS]}:8080",
        "COUNTENANCE_HOST": "127.0.0.1",
    }
    with (
        namespaces(),
        container(models, MODELS, "run/countenance", "tmp") as one,
        container(service, SERVICE, "tmp", **settings) as two,
    ):
        started = time.monotonic()
        wait(lambda: two.does("python", "-c", READY)[0])
        found["ready_after_s"] = round(time.monotonic() - started, 1)
        found["ready"] = json.loads(two.does("python", "-c", READY)[1])
        found["health_check_of_models"] = one.does(*models.check)
        found["user"] = one.does("id", "-u")[1]
        found["can_write_to_its_root"] = one.does("touch", "/opt/model_store/x")[0]
        outside = REACH.format("192.0.2.1", 80)
        found["models_reach_outside"] = one.does("python", "-c", outside)[0]
        found["service_reaches_models"] = two.does(
            "python", "-c", REACH.format(ADDRESSES[MODELS], 8080)
        )[0]
        found["service_reaches_management"] = two.does(
            "python", "-c", REACH.format(ADDRESSES[MODELS], 8081)
        )[0]
        found["models_have_pip"] = one.does("python", "-m", "pip", "--version")[0]
    return found


def is_as_it_should_be(found: dict[str, object]) -> bool:
    """Whether all that was tried came out right."""
    healthy = found["health_check_of_models"]
    forbidden = ("can_write_to_its_root", "models_reach_outside", "service_reaches_management")
    return (
        isinstance(healthy, tuple)
        and bool(healthy[0])
        and found["user"] == "10001"
        and found["service_reaches_models"] is True
        and not any(found[name] for name in (*forbidden, "models_have_pip"))
    )


def wait(true: Callable[[], bool]) -> None:
    """Look again and again; raises TimeoutError."""
    deadline = time.monotonic() + READY_S
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("it never became ready")
        time.sleep(1.0)


def size_mb(root: Path) -> int:
    """Megabytes on disk."""
    told = subprocess.run(["du", "-sxm", root], capture_output=True, text=True, check=True)
    return int(told.stdout.split()[0])


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="kept, and its base used again, if named")
    parser.add_argument("--share", type=Path, action="append", default=[])
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("chroot and network namespaces need root\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="cnt-") as own:
        found = prove(options.folder or Path(own), options.share)
    print(json.dumps(found, indent=2))
    return 0 if is_as_it_should_be(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
