"""docker-compose.yml: it fits the specification, shows one port, and its scripts do their work."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from service.keys import hash_key, load_keys
from service.sessions import Address, Outcome, Session
from service.sessions.redis import RedisStore
from service.settings import Settings
from tests.service.redis_server import RedisServer, find_executable
from tests.serving.composing import lay_over, load, script_of, variables_of
from tests.waiting import until

ROOT = Path(__file__).parents[2]
BASE, CPU = ROOT / "docker-compose.yml", ROOT / "docker-compose.cpu.yml"
SCHEMA = json.loads((Path(__file__).parent / "compose.schema.json").read_text())
MODELS = ("models", "models-previous")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load(BASE)


def test_the_files_fit_the_specification_with_and_without_a_gpu(compose):
    validator = jsonschema_rs.validator_for(SCHEMA)
    validator.validate(compose)
    without = lay_over(compose, load(CPU))
    validator.validate(without)
    for name in MODELS:
        resources = without["services"][name]["deploy"]["resources"]
        assert "reservations" not in resources
        assert resources["limits"] == compose["services"][name]["deploy"]["resources"]["limits"]


def test_only_the_service_is_published_and_only_here(compose):
    services = compose["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert services["grafana"]["profiles"] == ["monitoring"]
    assert services["proxy"]["profiles"] == ["proxy"]
    assert published == {
        "service": ["127.0.0.1:8000:8000"],
        "proxy": ["127.0.0.1:443:8443", "127.0.0.1:80:8080"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_models_and_redis_reach_only_the_service_and_who_measures(compose):
    services, networks = compose["services"], compose["networks"]
    for names, others in ((MODELS, ["prometheus", "service"]), (("redis",), ["service"])):
        (network,) = {network for name in names for network in services[name]["networks"]}
        assert networks[network] == {"internal": True}
        users = [other for other in services if network in services[other].get("networks", [])]
        assert sorted(users) == sorted([*names, *others])


def test_the_version_before_starts_only_when_it_is_asked_for_and_is_otherwise_the_same(compose):
    newer, older = (dict(compose["services"][name]) for name in MODELS)
    assert older.pop("profiles") == ["previous"]
    for service in (newer, older):
        service.pop("image")
    newer.pop("build")
    assert older == newer


def test_every_container_is_bounded_and_has_no_rights(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
        assert service["security_opt"] == ["no-new-privileges:true"]
        if name != "setup":
            assert {"memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()


def test_torchserve_runs_where_it_may_write_and_java_may_load_a_library(compose):
    run = re.search(r'"--run", "([^"]+)"', (ROOT / "Dockerfile").read_text())
    assert run is not None
    for name in MODELS:
        options = dict(entry.split(":", 1) for entry in compose["services"][name]["tmpfs"])
        (place,) = (place for place in options if run[1].startswith(f"{place}/"))
        assert {"exec", "mode=1777"} <= {*options[place].split(",")}


def test_no_secret_is_in_the_environment_or_shown_to_the_models(compose):
    for name in MODELS:
        names = ("DEVICE", "WORKERS", "THREADS", "CUDA_GRAPHS")
        told = {f"COUNTENANCE_MODEL_{name}" for name in names}
        assert compose["services"][name]["environment"].keys() == told
        assert "volumes" not in compose["services"][name]
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            secret = any(word in name for word in ("PASSWORD", "TOKEN", "SECRET"))
            assert name.endswith("_FILE") or not secret, value


@pytest.mark.parametrize("ports", ["8000-8002", "0"])
def test_replicas_can_share_a_range_of_ports_or_take_free_ones_behind_the_proxy(ports):
    compose = load(BASE, COUNTENANCE_PORTS=ports)
    assert compose["services"]["service"]["ports"] == [f"127.0.0.1:{ports}:8000"]
    assert not any("container_name" in service for service in compose["services"].values())


def test_the_settings_of_the_service_are_settings(compose, tmp_path, monkeypatch):
    environment = dict(compose["services"]["service"]["environment"])
    url = tmp_path / "url"
    url.write_text("redis://countenance:x@redis:6379/0\n")
    environment["COUNTENANCE_REDIS_URL_FILE"] = str(url)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings(host="0.0.0.0")
    assert settings.workers == tuple(f"http://{name}:8080" for name in MODELS)
    assert settings.redis_url == "redis://countenance:x@redis:6379/0"
    assert settings.allowed_hosts == ("localhost", "127.0.0.1")


def test_the_example_of_the_environment_names_every_variable_with_its_default():
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert example.keys() == variables_of(BASE)
    assert load(BASE, **example) == load(BASE)


@pytest.fixture
def made(compose, short) -> tuple[Path, str]:
    """What the script of `setup` makes on its first run, and what it says."""
    for name in ("keys", "redis", "monitoring"):
        (short / name).mkdir()
    return short, run_setup(compose, short)


def run_setup(compose: dict[str, Any], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.defpath}"
    run = subprocess.run(
        ["sh", "-euc", script_of(compose["services"]["setup"])],
        cwd=folder,
        env={"PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout + run.stderr


@pytest.mark.slow
def test_the_first_start_makes_a_key_and_tells_it_once(compose, made):
    folder, told = made
    entry, monitoring = load_keys(folder / "keys" / "keys.toml")
    assert entry.principal == "first"
    key = (folder / "monitoring" / "key").read_text().strip()
    assert (monitoring.sha256, monitoring.max_sockets) == (hash_key(key), 0)
    assert key not in told
    assert "cnt_" in told
    assert "cnt_" not in (folder / "keys" / "keys.toml").read_text()
    before = (folder / "redis" / "url").read_text()
    assert "cnt_" not in run_setup(compose, folder)
    assert (folder / "redis" / "url").read_text() == before
    assert (folder / "redis" / "url").stat().st_mode & 0o077 == 0


@pytest.mark.slow
async def test_redis_lets_the_service_in_and_only_to_its_own_keys(compose, made):
    folder, _ = made
    socket = folder / "s"
    script = (
        script_of(compose["services"]["redis"])
        .replace("/tmp/", f"{folder}/")
        .replace("/run/secrets/redis", str(folder / "redis"))
        .replace("redis-server", f"{find_executable()} --port 0 --unixsocket {socket}")
        .replace("--bind 0.0.0.0", "")
    )
    environment = {**compose["services"]["redis"]["environment"], "PATH": os.defpath}
    process = subprocess.Popen(["sh", "-euc", script], env=environment, stdout=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(20):
            await until(lambda: socket.exists())
        given = urlsplit((folder / "redis" / "url").read_text().strip())
        url = f"unix://{given.username}:{given.password}@{socket}?db=0"
        await use_sessions(url)
        await try_what_is_not_allowed(url, str(socket))
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.slow
async def test_the_service_asks_redis_for_nothing_that_is_not_allowed(compose):
    allowed = re.findall(r"\+(\w+)", compose["services"]["redis"]["environment"]["ACL"])
    server = RedisServer()
    try:
        ask_plainly(server, b"CONFIG RESETSTAT")
        await use_sessions(server.url)
        asked = set(re.findall(r"cmdstat_(\w+)", ask_plainly(server, b"INFO commandstats")))
    finally:
        server.close()
    assert "evalsha" in asked
    assert asked - {"config"} <= {*allowed}


def ask_plainly(server: RedisServer, command: bytes) -> str:
    """Send one command and nothing around it, as client libraries do; return what comes."""
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(server.socket)
        plain.sendall(command + b"\r\n")
        return plain.recv(2**16).decode()


async def use_sessions(url: str) -> None:
    store = RedisStore(url, ttl_s=60.0, max_bytes=2**20, timeout_s=5.0, each=1)
    address = Address("track", "alice", "one")
    await store.check()
    session = await store.connect(address, "epoch")
    new = Session("epoch", 1, b"state", b"reply", session.created_s, session.updated_s)
    assert await store.commit(address, "epoch", 0, new) is Outcome.STORED
    found = await store.load(address)
    assert found is not None
    assert found.state == b"state"
    assert await store.resume(address, "epoch") is not None
    await store.connect(Address("track", "alice", "two"), "epoch")
    assert await store.load(address) is None
    await store.connect(address, "epoch")
    assert await store.delete(address)
    await store.close()


async def try_what_is_not_allowed(url: str, socket: str) -> None:
    redis = Redis.from_url(url)
    with pytest.raises(NoPermissionError):
        await redis.hget("another", "field")
    with pytest.raises(NoPermissionError):
        await redis.flushall()
    with pytest.raises(NoPermissionError):
        await redis.config_get("*")
    with pytest.raises(NoPermissionError):
        await redis.keys("*")
    await redis.aclose()
    stranger = Redis(unix_socket_path=socket)
    with pytest.raises(RedisError, match="authenticated"):
        await stranger.ping()
    await stranger.aclose()
