"""Build the images, start what docker-compose.yml says, and try what it promises.

    python -m tests.serving.prove_compose [--compose PODMAN-COMPOSE] [--share DIR ...]

Needs root, on Debian: podman and debootstrap. `--share` names folders that pip's configuration on
this machine points to. Prints every promise with what was found; ends with 1 if one is not kept.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.service.clip_files import write_clip
from tests.serving.container_faults import address_of, try_faults
from tests.serving.container_rights import Promise, try_reach, try_rights
from tests.serving.containers import HTTP, HTTPS, PROJECT, ROOT, Engine
from tests.serving.servers import wait_until

BASE = f"http://localhost:{HTTP}"
PORTRAIT = ROOT / "service" / "commands" / "sample" / "portrait.jpg"
KEY = re.compile(r"cnt_[\w-]+")
LARGEST_SERVICE_MB = 400
WORKERS = ("http://models:8080", "http://models-previous:8080")
SCRAPED = (
    "import urllib.request as u; "
    "print(u.urlopen('http://prometheus:9090/api/v1/query?query=up').read().decode())"
)
# As podman needs it: replicas cannot share a range of ports, so they are asked at their own
# addresses; and what depends on something that has ended is not started again.
REPLICAS = """
services:
  models:
    scale: 2
  redis:
    depends_on: !reset {}
  service:
    scale: 2
    depends_on: !reset {}
    ports: !reset []
"""


def prove(engine: Engine, folder: Path) -> Iterator[Promise]:
    """Try everything; raises what keeps that from going on."""
    engine.provide()
    megabytes = {target: engine.build(target) / 10**6 for target in ("service", "models")}
    yield "the service's image is small", megabytes["service"] < LARGEST_SERVICE_MB, megabytes
    with started(engine):
        yield from try_start()
        headers = first_key(engine)
        yield "the first start tells a key", bool(headers), None
        yield from try_answers(headers, folder)
        yield from try_rights(engine)
        yield from try_reach(engine)
        yield from try_versions(engine)
        yield from try_figures(engine)
    override = folder / "replicas.yml"
    override.write_text(REPLICAS)
    with started(engine, override):
        for name in ("models", "service"):
            wait_until(lambda name=name: are_sound(engine, name, 2))
        headers = first_key(engine)
        yield from try_proxy(engine, headers, override)
        yield from try_faults(engine, headers)


@contextmanager
def started(engine: Engine, *files: Path) -> Iterator[None]:
    """Everything up, and nothing of it left afterwards."""
    engine.compose("down", "--volumes", files=files)
    engine.compose("up", "--detach", "--no-build", files=files)
    try:
        yield
    finally:
        for profile in ("previous", "monitoring", "proxy"):
            engine.compose(f"--profile={profile}", "down", "--volumes", files=files)


def are_sound(engine: Engine, service: str, count: int) -> bool:
    """Whether so many containers of a service pass their health checks."""
    names = engine.names(service)
    return len(names) == count and all(engine.does("healthcheck", "run", n)[0] for n in names)


def first_key(engine: Engine) -> dict[str, str]:
    """The header with the key that the first start has told, empty without one."""
    _, told = engine.does("logs", f"{PROJECT}_setup_1")
    key = KEY.search(told)
    return {"Authorization": f"Bearer {key[0]}"} if key else {}


def try_start() -> Iterator[Promise]:
    """Whether everything is soon ready."""
    begun = time.monotonic()
    wait_until(lambda: readiness().get("status") == "ready")
    found = {**readiness(), "after_s": round(time.monotonic() - begun, 1)}
    yield "ready, with every model and Redis", found["store"]["kind"] == "redis", found


def readiness() -> dict[str, Any]:
    """What the service says of itself, nothing while it does not listen."""
    with suppress(httpx.TransportError):
        return dict(httpx.get(f"{BASE}/health/ready").json())
    return {}


def try_answers(headers: dict[str, str], folder: Path) -> Iterator[Promise]:
    """Whether who has a key is answered, and nobody else."""
    portrait = PORTRAIT.read_bytes()
    refused = httpx.post(f"{BASE}/align", files={"image": portrait}).status_code
    yield "nobody without a key", refused == 401, refused
    clip = write_clip(folder / "talk.mp4", size=(160, 120)).read_bytes()
    asked = {
        "align": ("image", portrait),
        "track/one": ("image", portrait),
        "affect": ("clip", clip),
    }
    with httpx.Client(headers=headers, timeout=120) as http:
        for path, (field, content) in asked.items():
            reply = http.post(f"{BASE}/{path}", files={field: content})
            yield f"POST /{path} is answered", reply.status_code == 200, reply.text[:120]


def try_versions(engine: Engine) -> Iterator[Promise]:
    """Whether the version before is found once it is started."""
    engine.compose("--profile=previous", "up", "--detach", "--no-build", "models-previous")
    (service,) = engine.names("service")
    wait_until(lambda: engine.does("logs", service)[1].count(" found") == 2)
    found = re.findall(r"worker (http://[^ ]+) .*? found", engine.does("logs", service)[1])
    yield "the version before is found too", found == list(WORKERS), found


def try_figures(engine: Engine) -> Iterator[Promise]:
    """Whether Prometheus finds both sides by their names, with the key made for it."""
    engine.compose("--profile=monitoring", "up", "--detach", "--no-build", "prometheus")
    (service,) = engine.names("service")

    def jobs() -> list[str]:
        _, told = engine.does("exec", service, "python", "-c", SCRAPED)
        series = json.loads(told)["data"]["result"]
        return sorted(one["metric"]["job"] for one in series if one["value"][1] == "1")

    with suppress(AssertionError):
        wait_until(lambda: {*jobs()} == {"countenance", "torchserve"})
    yield "Prometheus reads both sides", {*jobs()} == {"countenance", "torchserve"}, jobs()


def try_proxy(engine: Engine, headers: dict[str, str], override: Path) -> Iterator[Promise]:
    """Whether one address with TLS leads to every replica of the service."""
    engine.compose("--profile=proxy", "up", "--detach", "--no-build", "proxy", files=(override,))
    portrait = PORTRAIT.read_bytes()
    with httpx.Client(base_url=f"https://localhost:{HTTPS}", verify=False, timeout=60) as http:
        with suppress(AssertionError):
            wait_until(lambda: is_ready(http))
        yield "ready behind the proxy, with TLS", is_ready(http), None
        given = {"files": {"image": portrait}, "headers": headers}
        codes = [http.post("/align", **given).status_code for _ in range(8)]
    yield "the proxy passes requests on", set(codes) == {200}, codes
    found = {name: aligned(engine, name, headers) for name in engine.names("service")}
    yield "each replica has its share", len(found) == 2 and all(found.values()), found


def is_ready(http: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return http.get("/health/ready").status_code == 200
    return False


def aligned(engine: Engine, container: str, headers: dict[str, str]) -> int:
    """How many photographs a replica has answered."""
    told = httpx.get(f"http://{address_of(engine, container)}:8000/metrics", headers=headers).text
    counts = re.findall(r'^countenance_requests_total{[^}]*"/align"[^}]*} ([\d.]+)', told, re.M)
    return int(sum(map(float, counts)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compose", type=Path, default=Path("podman-compose"))
    parser.add_argument("--share", type=Path, action="append", default=[])
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("debootstrap and podman's networks need root\n")
        return 2
    broken = 0
    with tempfile.TemporaryDirectory(prefix="cnt-") as folder:
        engine = Engine(Path(folder), given.compose, given.share)
        with closing(engine):
            for promise, kept, found in prove(engine, Path(folder)):
                print("kept  " if kept else "BROKEN", promise, found or "", flush=True)
                broken += not kept
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
