"""`python -m tests.serving.pins`: which images named by version are old, by their registries.

Every image in the Dockerfile, in compose and for Kubernetes is looked up (OCI distribution API):
when it was built, and which later versions of its line there are. One that was built too long ago,
that has a later version or that could not be looked up is told, and fails: nothing is called safe
that was not seen. That needs a way to the registries, or a mirror named by `--registry`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
FILES = ("Dockerfile", "docker-compose.yml", "deploy/kubernetes/base/redis.yaml")
PIN = re.compile(r"(?:image:|_IMAGE=)\s*(?:\$\{\w+:-)?([a-z0-9][a-z0-9./:-]*):(v?\d[\w.-]*)")
VERSION = re.compile(r"(v?)(\d+(?:\.\d+)*)(.*)")
HUB, HUB_HOST = "docker.io", "https://registry-1.docker.io"
REPOSITORY = re.compile("https?://[^/]+/v2/.+(?=/(manifests|blobs|tags)/)")
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
KINDS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
PLATFORM = ("linux", "amd64")
MOST_PAGES, PAGE = 50, 1000
TIMEOUT_S, DAYS = 20.0, 90


@dataclass(frozen=True)
class Pin:
    """An image that is named by version, and where."""

    image: str
    tag: str
    file: str

    @property
    def name(self) -> str:
        return f"{self.file}: {self.image}:{self.tag}"


@dataclass(frozen=True)
class Seen:
    """When an image was built, and the tags that there are of it."""

    built: datetime
    tags: tuple[str, ...]


def find_pins(texts: Mapping[str, str]) -> list[Pin]:
    """Return the images of files, by name and text."""
    return [Pin(*found, name) for name, text in texts.items() for found in PIN.findall(text)]


class Registry:
    """Asks the registries of images, with tokens where one wants them; raises LookupError."""

    def __init__(self, http: httpx.Client, address: str | None = None) -> None:
        """`address` stands for every registry, as a mirror does."""
        self._http, self._address = http, address
        self._tokens: dict[str, str] = {}

    def look_up(self, pin: Pin) -> Seen:
        """Find out what there is of an image."""
        base, repository = self._place(pin.image)
        try:
            manifest = self._manifest(base, repository, pin.tag)
            config = self._json(f"{base}/v2/{repository}/blobs/{manifest['config']['digest']}")
            built = datetime.fromisoformat(config["created"])
            return Seen(built, tuple(self._tags(base, repository)))
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise LookupError(f"{type(error).__name__}: {error}") from error

    def _place(self, image: str) -> tuple[str, str]:
        """Return the registry's address and the image's name there."""
        first, _, rest = image.partition("/")
        host, repository = (first, rest) if rest and re.search("[.:]", first) else (HUB, image)
        if host == HUB and "/" not in repository:
            repository = f"library/{repository}"
        address = HUB_HOST if host == HUB else f"https://{host}"
        return (self._address or address).rstrip("/"), repository

    def _manifest(self, base: str, repository: str, name: str) -> Any:
        """Return an image's manifest, of several platforms that of the usual one."""
        found = self._json(f"{base}/v2/{repository}/manifests/{name}")
        if "manifests" not in found:
            return found
        for entry in found["manifests"]:
            platform = entry.get("platform", {})
            if (platform.get("os"), platform.get("architecture")) == PLATFORM:
                return self._json(f"{base}/v2/{repository}/manifests/{entry['digest']}")
        raise LookupError(f"there is none for {'/'.join(PLATFORM)}")

    def _tags(self, base: str, repository: str) -> Iterable[str]:
        address: str | None = f"{base}/v2/{repository}/tags/list?n={PAGE}"
        for _ in range(MOST_PAGES):
            reply = self._get(str(address))
            yield from reply.json()["tags"] or ()
            after = reply.links.get("next", {}).get("url")
            if after is None:
                return
            address = str(httpx.URL(str(address)).join(after))
        raise LookupError(f"it has more than {MOST_PAGES * PAGE} tags")

    def _json(self, address: str) -> Any:
        return self._get(address).json()

    def _get(self, address: str) -> httpx.Response:
        """Ask once, and where a token is wanted once more with it."""
        place = REPOSITORY.match(address)
        for wanted in (True, False):
            token = self._tokens.get(place[0]) if place else None
            headers = {"Accept": KINDS} | ({"Authorization": f"Bearer {token}"} if token else {})
            reply = self._http.get(address, headers=headers)
            if reply.status_code == 401 and wanted and place:
                self._tokens[place[0]] = self._token(reply.headers.get("WWW-Authenticate", ""))
                continue
            break
        if reply.status_code == 404:
            raise LookupError("there is no such image")
        return reply.raise_for_status()

    def _token(self, challenge: str) -> str:
        asked = dict(CHALLENGE.findall(challenge))
        if not challenge.startswith("Bearer ") or "realm" not in asked:
            raise LookupError("it asks for a login")
        realm = asked.pop("realm")
        told = self._http.get(realm, params=asked).raise_for_status().json()
        return str(told.get("token") or told["access_token"])


def newer_tag(tag: str, tags: Iterable[str]) -> str | None:
    """Return the latest tag of the same line and kind, None where this is it.

    A line is what all but the last number name, a kind what follows the numbers.
    """
    mine = _parts(tag)
    if mine is None:
        return None
    same = [
        (numbers, other)
        for other in tags
        if (found := _parts(other)) is not None
        and (found[0], found[2]) == (mine[0], mine[2])
        and len(numbers := found[1]) == len(mine[1])
        and numbers[:-1] == mine[1][:-1]
    ]
    latest, name = max(same, default=(mine[1], tag))
    return name if latest > mine[1] else None


def check(
    pins: Iterable[Pin], look_up: Callable[[Pin], Seen], now: datetime, days: int
) -> tuple[list[str], bool]:
    """Return a line for every pin, and whether all are in order."""
    lines, in_order = [], True
    for pin in pins:
        try:
            seen = look_up(pin)
        except LookupError as error:
            lines.append(f"UNKNOWN  {pin.name}: could not be looked up ({error})")
            in_order = False
            continue
        age, later = (now - seen.built).days, newer_tag(pin.tag, seen.tags)
        faults = [f"older than {days} days"] * (age > days) + [f"{later} is there"] * bool(later)
        told = f"{pin.name}: built {seen.built:%Y-%m-%d}, {age} days ago"
        lines.append("; ".join([f"{'OLD' if faults else 'fine':<7}  {told}", *faults]))
        in_order = in_order and not faults
    return lines, in_order


def _parts(tag: str) -> tuple[str, list[int], str] | None:
    found = VERSION.fullmatch(tag)
    if found is None:
        return None
    mark, numbers, kind = found.groups()
    return mark, [int(part) for part in numbers.split(".")], kind


def main(arguments: list[str] | None = None) -> int:
    """Print what is known of every image; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=DAYS, help="how old an image may be")
    parser.add_argument("--registry", help="a mirror to ask in place of the registries")
    options = parser.parse_args(arguments)
    pins = find_pins({name: (ROOT / name).read_text(encoding="utf-8") for name in FILES})
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as http:
        registry = Registry(http, options.registry)
        lines, in_order = check(pins, registry.look_up, datetime.now(UTC), options.days)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if in_order else 1


if __name__ == "__main__":
    raise SystemExit(main())
