"""A version rolled at real TorchServes: live sessions finish on theirs, new ones take the next."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from handlers.torchserve.models import FACE
from tests.service.counting import headed, step
from tests.serving.deployment import ModelsProcess, ServiceProcess
from tests.serving.servers import described
from tests.serving.stores import link_store, next_version

NEEDED = ("dcrt", "dfa", "face_shape", "mtcnn")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ts") is None, reason="needs the extra torchserve"),
]


@pytest.fixture
def both() -> Iterator[tuple[ModelsProcess, ModelsProcess]]:
    """The shipped tracker and the next one, each at a TorchServe of its own."""
    folder = Path(tempfile.mkdtemp(prefix="cnt-"))
    stores = link_store(folder / "old", NEEDED), next_version(folder / "new", NEEDED)
    servers = [ModelsProcess(folder / f"run{n}", store) for n, store in enumerate(stores)]
    try:
        for server in servers:
            described(server.address, "track")
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.close()
        shutil.rmtree(folder, ignore_errors=True)


async def frames(service: ServiceProcess, session: str, times: range) -> list[dict[str, Any]]:
    async with connect(f"{service.live}/{session}", proxy=None, ping_interval=None) as socket:
        return [await step(socket, headed(FACE.read_bytes(), n / 25)) for n in times]


def told(replies: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(reply["status"], reply["model"]["version"], reply["step"]) for reply in replies]


async def test_a_version_rolled_at_torchserve_loses_no_session(both, own_redis):
    older, newer = both
    common = {"COUNTENANCE_REDIS_URL": own_redis.url}
    before = ServiceProcess({**common, "COUNTENANCE_INFERENCE": older.address})
    await asyncio.to_thread(before.wait_until_ready)
    ((_, old, _), *_) = told(await frames(before, "live", range(3)))
    before.kill(signal.SIGTERM)
    rolled = f"{newer.address},{older.address}"
    after = ServiceProcess({**common, "COUNTENANCE_INFERENCE": rolled})
    try:
        await asyncio.to_thread(after.wait_until_ready)
        live = told(await frames(after, "live", range(3, 6)))
        assert live == [("tracking", old, number) for number in (4, 5, 6)]
        assert told(await frames(after, "fresh", range(2)))[-1] == ("tracking", "next", 2)
        async with httpx.AsyncClient() as http:
            models = (await http.get(f"{after.base}/models", timeout=30)).json()["models"]
        trackers = [model["version"] for model in models if model["name"] == "track"]
        assert sorted(trackers) == sorted([old, "next"])
    finally:
        after.kill(signal.SIGTERM)
