"""A page of another origin: let in by name and with a token, and otherwise told why it is not."""

import functools
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from service.keys import new_key
from tests.browser.conftest import ROOT, running_service

EXAMPLE = "docs/examples/webcam.html"


class Elsewhere(http.server.SimpleHTTPRequestHandler):
    """The repository's files, and `token`: what the service changes the key for."""

    service, key = "", ""

    def do_GET(self) -> None:
        if not self.path.endswith("/token"):
            super().do_GET()
            return
        headers = {"Authorization": f"Bearer {self.key}"}
        asked = urllib.request.Request(
            f"{self.service}/tokens?doors=track", method="POST", headers=headers
        )
        with urllib.request.urlopen(asked) as reply:
            body = reply.read().split(b'"token":"')[1].split(b'"')[0]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, type[Elsewhere]]]:
    """The address of a server of another origin, and what it is told."""
    told = type("Told", (Elsewhere,), {})
    make = functools.partial(told, directory=str(ROOT))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}", told
    server.shutdown()
    server.server_close()


def keys(folder: Path) -> tuple[str, Path]:
    key, entry = new_key("site")
    (folder / "keys.toml").write_text(entry)
    return key, folder / "keys.toml"


def open_example(browser, origin: str, service: str):
    context = browser.new_context()
    context.grant_permissions(["camera"], origin=origin)
    page = context.new_page()
    page.goto(f"{origin}/{EXAMPLE}?service={service}")
    return page


def test_a_page_elsewhere_follows_a_face_with_a_token(browser, elsewhere, tmp_path):
    origin, told = elsewhere
    told.key, path = keys(tmp_path)
    with running_service(api_keys_file=path, allowed_origins=origin) as service:
        told.service = service
        page = open_example(browser, origin, service)
        expect(page.get_by_role("status")).to_have_text("tracking: 1 faces")
        page.context.close()


def test_a_page_that_is_not_named_is_told_so_once(browser, elsewhere, tmp_path):
    origin, told = elsewhere
    told.key, path = keys(tmp_path)
    with running_service(api_keys_file=path) as service:
        told.service = service
        page = open_example(browser, origin, service)
        sockets: list[str] = []
        page.on("websocket", lambda opened: sockets.append(opened.url))
        expect(page.get_by_role("status")).to_have_text(
            "Pages of this origin may not use the service"
        )
        page.wait_for_timeout(2000)
        assert len(sockets) <= 1
        page.context.close()
