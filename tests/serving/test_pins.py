"""The command that says which images are old, against a stand-in for their registry."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.serving.pins import FILES, ROOT, Pin, Registry, Seen, check, find_pins, main, newer_tag

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TOKEN = "let-me-in"


class StandIn(ThreadingHTTPServer):
    """A registry of the OCI distribution API: tokens, indexes, pages of tags, blobs elsewhere."""

    def __init__(self, images: dict[str, dict[str, str]], wants_login: bool = False) -> None:
        """`images` have the time that each tag was built, by name and tag."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.images, self.wants_login = images, wants_login
        self.tokens_given = 0
        self.leaked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/token":
            assert query["scope"][0].startswith("repository:")
            self.server.tokens_given += 1
            return self._answer({"token": TOKEN})
        if path.startswith("/elsewhere/"):
            # Another host of the same server: localhost is not 127.0.0.1.
            self.server.leaked += self.headers.get_all("Authorization", [])
            return self._answer({"created": path.removeprefix("/elsewhere/")})
        for part in ("manifests", "blobs", "tags"):
            name, found, rest = path.removeprefix("/v2/").partition(f"/{part}/")
            if found:
                break
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._refuse(name)
        if name not in self.server.images:
            return self._answer({"errors": []}, 404)
        return self._tell(part, rest, self.server.images[name], query)

    def _tell(self, part: str, rest: str, tags: dict[str, str], query: dict[str, Any]) -> None:
        if part == "tags":
            names = sorted(tags)
            first = int(query.get("last", ["0"])[0])
            link = {"Link": f'<{self.path.partition("?")[0]}?last={first + 1}>; rel="next"'}
            more = link if first + 1 < len(names) else {}
            return self._answer({"tags": names[first : first + 1]}, 200, more)
        if part == "blobs":
            where = f"http://localhost:{self.server.server_port}/elsewhere/{rest.partition(':')[2]}"
            return self._answer({}, 307, {"Location": where})
        if rest.startswith("sha256:"):
            return self._answer({"config": {"digest": rest}})
        if rest not in tags:
            return self._answer({"errors": []}, 404)
        platforms = [("arm64", "sha256:wrong"), ("amd64", f"sha256:{tags[rest]}")]
        entries = [
            {"digest": digest, "platform": {"os": "linux", "architecture": kind}}
            for kind, digest in platforms
        ]
        return self._answer({"manifests": entries})

    def _refuse(self, name: str) -> None:
        realm = f'Bearer realm="{self.server.address}/token",service="s",scope="repository:{name}"'
        how = "Basic realm=x" if self.server.wants_login else realm
        self._answer({"errors": []}, 401, {"WWW-Authenticate": how})

    def _answer(
        self, body: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(registry: StandIn) -> Iterator[StandIn]:
    thread = Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        registry.shutdown()
        thread.join()
        registry.server_close()


def built(days_ago: int, now: datetime = NOW) -> str:
    return (now - timedelta(days=days_ago)).isoformat()


def look(registry: StandIn, pin: Pin) -> Seen:
    with serving(registry), httpx.Client(follow_redirects=True) as http:
        return Registry(http, registry.address).look_up(pin)


def test_every_image_of_others_is_pinned_and_looked_at() -> None:
    pins = find_pins({name: (ROOT / name).read_text() for name in FILES})
    images = {pin.image for pin in pins}
    assert images == {"python", "redis", "grafana/grafana", "prom/prometheus", "caddy"}
    # One image has one version everywhere.
    assert len({(pin.image, pin.tag) for pin in pins}) == len(images)


def test_when_an_image_was_built_and_what_else_there_is_comes_from_the_registry() -> None:
    images = {"library/redis": {"7.4.7-alpine": built(3), "7.4.8-alpine": built(1), "8": built(1)}}
    registry = StandIn(images)
    seen = look(registry, Pin("redis", "7.4.7-alpine", "compose"))
    assert seen.built == NOW - timedelta(days=3)
    assert sorted(seen.tags) == ["7.4.7-alpine", "7.4.8-alpine", "8"]
    assert registry.tokens_given == 1, "one token for all that is asked of an image"
    assert registry.leaked == [], "the token stays with the registry"


@pytest.mark.parametrize(
    ("registry", "pin", "why"),
    [
        (StandIn({}), Pin("redis", "7.4.7", "f"), "no such image"),
        (StandIn({"library/redis": {}}), Pin("redis", "7.4.7", "f"), "no such image"),
        (StandIn({"a/b": {"1": built(1)}}, wants_login=True), Pin("a/b", "1", "f"), "a login"),
        (StandIn({"a/b": {"1": "yesterday"}}), Pin("a/b", "1", "f"), "ValueError"),
    ],
)
def test_what_the_registry_does_not_tell_is_an_error_that_says_why(
    registry: StandIn, pin: Pin, why: str
) -> None:
    with pytest.raises(LookupError, match=why):
        look(registry, pin)


def test_without_a_way_out_every_image_is_unknown() -> None:
    registry = StandIn({})
    registry.server_close()
    with httpx.Client() as http:
        ask = Registry(http, registry.address).look_up
        (line,), in_order = check([Pin("redis", "7.4.7", "compose")], ask, NOW, 90)
    assert line.startswith("UNKNOWN  compose: redis:7.4.7: could not be looked up (ConnectError")
    assert not in_order


@pytest.mark.parametrize(
    ("tag", "later"),
    [
        ("7.4.7-alpine", "7.4.10-alpine"),
        ("7.4.10-alpine", None),
        ("7.4.7", None),
        ("v3.7.3", "v3.7.5"),
        ("2.10-alpine", "2.11-alpine"),
        ("latest", None),
    ],
)
def test_a_later_version_is_one_of_the_same_line_and_kind(tag: str, later: str | None) -> None:
    tags = ["7.4.7-alpine", "7.4.9-alpine", "7.4.10-alpine", "7.4.7", "7.5.1-alpine", "v3.7.5"]
    tags += ["3.7.9", "v3.8.0", "2.11-alpine", "3.0-alpine", "7.4.11-alpine-rc1", "latest"]
    assert newer_tag(tag, tags) == later


@pytest.mark.parametrize(
    ("days_ago", "tags", "told"),
    [
        (89, ("7.4.7",), "fine     f: redis:7.4.7: built 2026-03-04, 89 days ago"),
        (
            91,
            ("7.4.7",),
            "OLD      f: redis:7.4.7: built 2026-03-02, 91 days ago; older than 90 days",
        ),
        (
            1,
            ("7.4.7", "7.4.8"),
            "OLD      f: redis:7.4.7: built 2026-05-31, 1 days ago; 7.4.8 is there",
        ),
    ],
)
def test_a_pin_is_old_by_its_age_and_by_what_came_after_it(
    days_ago: int, tags: tuple[str, ...], told: str
) -> None:
    def ask(_: Pin) -> Seen:
        return Seen(NOW - timedelta(days=days_ago), tags)

    lines, in_order = check([Pin("redis", "7.4.7", "f")], ask, NOW, 90)
    assert lines == [told]
    assert in_order == told.startswith("fine")


def test_the_command_tells_of_every_image_and_fails_where_one_is_old(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pins = find_pins({name: (ROOT / name).read_text() for name in FILES})
    images: dict[str, dict[str, str]] = {}
    for pin in pins:
        name = pin.image if "/" in pin.image else f"library/{pin.image}"
        images.setdefault(name, {})[pin.tag] = built(10, datetime.now(UTC))
    with serving(StandIn(images)) as registry:
        assert main(["--registry", registry.address]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(pins)
        assert all(line.startswith("fine") for line in lines)
        assert main(["--registry", registry.address, "--days", "9"]) == 1
        assert all(line.startswith("OLD") for line in capsys.readouterr().out.splitlines())
