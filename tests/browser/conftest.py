"""A real service and a real browser, with a camera that shows a face made on the spot.

These tests need Chromium on this machine, one of them Firefox, and run only where this folder is
asked for by name (`make test-browser`).
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.keys import new_key
from tests.browser import footage

ROOT = Path(__file__).parents[2]
START_S = 120.0
PATIENCE_MS = 60_000
DESKTOP, PHONE = {"width": 1200, "height": 800}, {"width": 390, "height": 844}
FLAGS = (
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", default="build/screenshots", help="folder of screenshots")
    parser.addoption("--service", help="address of a running service to test, without keys")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these tests out unless their folder is named."""
    named = any("browser" in argument for argument in config.args)
    return None if named else True


@contextmanager
def running_service(**settings: Any) -> Iterator[str]:
    """Run the service as its users do, in a process of its own, and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"port": port, "log_level": "warning", "log_format": "text", **settings}
    named = {f"COUNTENANCE_{name.upper()}": str(value) for name, value in options.items()}
    calm = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(
        [sys.executable, "-m", "service"], cwd=ROOT, env={**os.environ, **calm, **named}
    )
    address = f"http://localhost:{port}"
    try:
        wait_until_ready(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, "the service did not start"
        try:
            with urllib.request.urlopen(f"{address}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise TimeoutError("the service did not become ready")


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a service without keys."""
    if running := request.config.getoption("--service"):
        yield running
        return
    with running_service() as address:
        yield address


@pytest.fixture(scope="session")
def affect_service(service: str) -> str:
    """The address of a service that has the model `affect`."""
    with urllib.request.urlopen(f"{service}/health/ready", timeout=30) as reply:
        if "affect" not in json.load(reply)["models"]:
            pytest.skip("the model affect is not in the store")
    return service


@pytest.fixture(scope="session")
def guarded_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a service that wants a key, and the key."""
    key, entry = new_key("visitor")
    path = tmp_path_factory.mktemp("keys") / "keys.toml"
    path.write_text(entry)
    with running_service(api_keys_file=path) as address:
        yield address, key


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `camera.mjpeg`, `voice.wav`, `clip.webm` and `pair.webm`, all made on the
    spot of the sample face."""
    folder = tmp_path_factory.mktemp("media")
    footage.write_all(folder)
    return folder


@pytest.fixture(scope="session")
def browser(media: Path) -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)

    files = (
        f"--use-file-for-fake-video-capture={media / 'camera.mjpeg'}",
        f"--use-file-for-fake-audio-capture={media / 'voice.wav'}",
    )
    installed = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=installed,
            args=[*FLAGS, *files],
            chromium_sandbox=os.geteuid() != 0,
        )
        yield browser
        browser.close()


PageMaker = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any) -> Iterator[PageMaker]:
    """Return a function of an address and a view that opens the page there.

    Whatever the browser complains about (scripts, the content policy, missing files) fails the
    test, except for what `expected` names.
    """
    contexts, complaints = [], []
    expected: list[str] = []

    def open_at(
        address: str,
        view: str = "photo",
        permissions: tuple[str, ...] = ("camera", "microphone"),
        expect: tuple[str, ...] = (),
        **options: Any,
    ) -> Any:
        expected.extend(expect)
        context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        context.grant_permissions(list(permissions), origin=address)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complain(line, complaints))
        page.goto(f"{address}/#{view}" if view else address)
        page.wait_for_selector("#service-state[data-state=ready]")
        return page

    yield open_at
    for context in contexts:
        context.close()
    unexpected = [line for line in complaints if not any(name in line for name in expected)]
    assert not unexpected


def complain(line: Any, complaints: list[str]) -> None:
    if line.type in {"error", "warning"}:
        complaints.append(f"{line.text} ({line.location.get('url', '')})")


@pytest.fixture
def shoot(request: pytest.FixtureRequest) -> Callable[[Any, str], None]:
    """Return a function of a page and a name that saves what is seen."""
    folder = Path(request.config.getoption("--screenshots"))

    def save(page: Any, name: str, whole: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(200)
        page.screenshot(path=folder / f"{name}.png", full_page=whole, animations="disabled")

    return save
