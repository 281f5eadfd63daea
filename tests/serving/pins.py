"""`python -m tests.serving.pins`: whether the images that are named by version are old.

Each version in the Dockerfile, in compose and for Kubernetes is held against the newest of its line
and the line's end, as endoflife.date tells them. That needs a way to the internet; what cannot be
looked up counts as a failure, for nothing is called safe that was not seen.
"""

import json
import re
import sys
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILES = ("Dockerfile", "docker-compose.yml", "deploy/kubernetes/base/redis.yaml")
# Images, and what their products are called there.
PRODUCTS = {
    "python": "python",
    "redis": "redis",
    "grafana/grafana": "grafana",
    "prom/prometheus": "prometheus",
}
PIN = re.compile(rf"\b({'|'.join(map(re.escape, PRODUCTS))}):v?(\d+(?:\.\d+)+)")
ADDRESS = "https://endoflife.date/api/{}.json"
TIMEOUT_S = 20.0
Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Pin:
    """An image that is named by version, and where."""

    image: str
    version: str
    file: str


def find_pins(texts: Mapping[str, str]) -> list[Pin]:
    """Return the images of files, by name and text."""
    return [
        Pin(image, version, name)
        for name, text in texts.items()
        for image, version in PIN.findall(text)
    ]


def fault_of(pin: Pin, lines: Lines, today: date) -> str | None:
    """Return what is wrong with a pin, None where it is the newest of a line that is kept up."""
    parts = pin.version.split(".")
    names = [".".join(parts[:count]) for count in (2, 1)]
    line = next((one for name in names for one in lines if str(one["cycle"]) == name), None)
    if line is None:
        return f"{pin.version} is of no known line"
    end = line.get("eol")
    if end is True or (isinstance(end, str) and date.fromisoformat(end) <= today):
        return f"its line {line['cycle']} is kept up no more"
    if _numbers(pin.version) < _numbers(str(line["latest"])):
        return f"{line['latest']} is newer"
    return None


def look_up(product: str) -> Lines:
    """Return the lines of a product; raises OSError or ValueError."""
    address = ADDRESS.format(product)
    with urllib.request.urlopen(address, timeout=TIMEOUT_S) as reply:
        return list(json.loads(reply.read()))


def check(pins: Iterable[Pin], ask: Callable[[str], Lines], today: date) -> list[str]:
    """Return a line for every pin that is old or could not be looked up."""
    faults = []
    for pin in pins:
        try:
            fault = fault_of(pin, ask(PRODUCTS[pin.image]), today)
        except (OSError, ValueError, KeyError) as error:
            fault = f"could not be looked up ({error})"
        if fault is not None:
            faults.append(f"{pin.file}: {pin.image}:{pin.version}: {fault}")
    return faults


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def main() -> int:
    """Print what is old; return the exit status."""
    pins = find_pins({name: (ROOT / name).read_text(encoding="utf-8") for name in FILES})
    faults = check(pins, look_up, datetime.now(UTC).date())
    sys.stdout.write("\n".join(faults or [f"{len(pins)} images are the newest of their lines"]))
    sys.stdout.write("\n")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
