"""What started containers may do, and whom they reach."""

from collections.abc import Iterator

from tests.serving.composing import lay_over, load
from tests.serving.containers import FILES, HTTP, ROOT, Engine

# A promise, whether it is kept, and what was found.
Promise = tuple[str, bool, object]

UNITS = {"g": 2**30, "m": 2**20}
STATUS = ("cat", "/proc/1/status")
CONNECT = "import socket; socket.create_connection(('{}', {}), 3)"
OUTSIDE = ("192.0.2.1", 80)
# Who may reach what; all else of it may not.
REACH = {
    ("service", "models", 8080): True,
    ("service", "models", 8081): False,
    ("service", "redis", 6379): True,
    ("models", "redis", 6379): False,
    ("models", *OUTSIDE): False,
}


def try_rights(engine: Engine) -> Iterator[Promise]:
    """Whether every container is nobody, bounded, read-only and sound."""
    compose = lay_over(load(ROOT / FILES[0]), load(ROOT / FILES[1]))["services"]
    published = {}
    for name in ("models", "redis", "service"):
        (container,) = engine.names(name)
        host, limits = engine.look(container)["HostConfig"], compose[name]["deploy"]["resources"]
        status = dict(
            line.split(":\t", 1) for line in engine.podman("exec", container, *STATUS).splitlines()
        )
        yield f"{name} is nobody", status["Uid"].split() == ["10001"] * 4, status["Uid"]
        rights = {key: status[key] for key in ("CapEff", "CapBnd", "NoNewPrivs")}
        yield f"{name} has no rights", [int(v, 16) for v in rights.values()] == [0, 0, 1], rights
        bounds = {"memory": host["Memory"], "pids": host["PidsLimit"]}
        asked = {"memory": in_bytes(limits["limits"]["memory"]), "pids": limits["limits"]["pids"]}
        yield f"{name} is bounded", bounds == asked, bounds
        writes, told = engine.does("exec", container, "touch", "/x")
        yield f"{name} cannot write to its root", not writes and "Read-only" in told, told
        published[name] = engine.podman("port", container).strip()
        yield f"{name} is sound to its health check", *engine.does("healthcheck", "run", container)
    only = {"models": "", "redis": "", "service": f"8000/tcp -> 127.0.0.1:{HTTP}"}
    yield "only the service is published, and only here", published == only, published


def try_reach(engine: Engine) -> Iterator[Promise]:
    """Whether containers reach those whom they need and nobody else."""
    for (source, host, port), allowed in REACH.items():
        (container,) = engine.names(source)
        does, _ = engine.does("exec", container, "python", "-c", CONNECT.format(host, port))
        may = "reaches" if allowed else "does not reach"
        yield f"{source} {may} {host}:{port}", does is allowed, None


def in_bytes(size: str) -> int:
    """Compose's `512m` as a number."""
    return int(size[:-1]) * UNITS[size[-1]]
