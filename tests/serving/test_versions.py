"""Two versions of a model side by side: new sessions take the new one, live ones keep theirs."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

from handlers.wire import dump_state
from service.errors import Problem, ServiceError
from service.inference import Question, weights_of
from service.inference.loading import Loaded
from service.inference.local import LocalInference
from service.inference.remote.pool import version_order
from service.settings import Settings
from tests.service.counting import Service, headed, serving, step
from tests.serving.stores import SHIPPED, next_version
from tests.serving.workers import DESCRIPTION, FakeWorker, answered, status
from tests.waiting import until_ready

OLD, NEW = "a" * 64, "b" * 64
PORTRAIT = Path(__file__).parents[1] / "assets" / "astronaut.jpg"


def state_of(weights: str) -> bytes:
    return dump_state({"h": torch.zeros(2, 3)}, "dcrt", weights, 1, 5)


def serve_version(worker: FakeWorker, version: str, weights: str) -> None:
    async def describe(_):
        description = {**DESCRIPTION, "version": version, "sha256": weights}
        return answered({"description": description, "device": "cpu"})

    worker.describes = describe


async def ask(client, state: bytes | None = None) -> str:
    """At which worker a question was answered."""
    return str((await client.ask("track", Question({}, {}, state))).outputs["at"])


@pytest.fixture
async def both(workers, connect):
    """A client of the worker `b`, whose version is new, and of `a`, whose is the one before."""
    older, newer = workers
    serve_version(older, "9", OLD)
    serve_version(newer, "10", NEW)
    client = await connect(newer.address, older.address)
    await until_ready(client)
    return client


def test_a_state_tells_which_weights_wrote_it():
    assert weights_of(state_of(OLD)) == OLD


@pytest.mark.parametrize(
    "state",
    [None, b"", b"state", b"\xff" * 40, b"\x02" + bytes(7) + b"[]", state_of(OLD)[:40]],
    ids=["none", "empty", "a word", "a length beyond all", "a list", "cut short"],
)
def test_a_state_that_is_none_belongs_to_no_version(state):
    assert weights_of(state) is None


def test_versions_are_ordered_by_their_numbers():
    versions = ["1", "2", "10", "1.9", "1.10", "0.1.0", "next"]
    ordered = sorted(versions, key=lambda version: version_order({"version": version}))
    assert ordered == ["next", "0.1.0", "1", "1.9", "1.10", "2", "10"]


async def test_sessions_begin_at_the_new_version_and_go_on_at_their_own(both):
    assert {await ask(both) for _ in range(8)} == {"b"}
    assert {await ask(both, state_of(OLD)) for _ in range(8)} == {"a"}
    assert {await ask(both, state_of(NEW)) for _ in range(8)} == {"b"}


async def test_the_first_address_is_that_of_the_new_version_whatever_its_number(workers, connect):
    older, newer = workers
    serve_version(older, "9", OLD)
    serve_version(newer, "10", NEW)
    back = await connect(older.address, newer.address)
    await until_ready(back)
    assert {await ask(back) for _ in range(8)} == {"a"}


async def test_both_versions_are_told(both):
    assert [found["version"] for found in await both.describe()] == ["10", "9"]


async def test_a_state_of_a_version_that_nobody_has_goes_where_sessions_begin(both):
    assert await ask(both, state_of("c" * 64)) == "b"


async def test_a_version_that_fails_is_not_replaced_by_another_one(both, workers):
    older, newer = workers
    older.next = [status(503)] * 2
    with pytest.raises(ServiceError) as caught:
        await both.ask("track", Question({}, {}, state_of(OLD)))
    assert caught.value.problem is Problem.UNAVAILABLE
    assert newer.questions == 0
    assert await ask(both, state_of(OLD)) == "a"


async def test_a_version_that_is_away_for_a_moment_is_waited_for(both, workers):
    older, newer = workers
    await older.stop()
    with pytest.raises(ServiceError):
        await both.ask("track", Question({}, {}, state_of(OLD)))
    assert newer.questions == 0
    older.path.unlink(missing_ok=True)
    await older.start()
    assert await ask(both, state_of(OLD)) == "a"


async def test_a_version_that_stays_away_is_given_up(both, workers, monkeypatch):
    monkeypatch.setattr("service.inference.remote.pool.GIVEN_UP_S", 0.0)
    await workers[0].stop()
    assert await ask(both, state_of(OLD)) == "b"


async def test_without_the_new_version_sessions_begin_at_the_old_one(both, workers):
    await workers[1].stop()
    assert await ask(both) == "a"


class Version:
    """A handler of some weights that says who it is and remembers its batches."""

    def __init__(self, weights: str) -> None:
        self.weights = weights
        self.batches: list[int] = []

    def handle(self, rows):
        self.batches.append(len(rows))
        return [answered({"at": self.weights})] * len(rows)

    def describe(self):
        return {"name": "track", "version": "1", "sha256": self.weights}


async def test_two_embedded_versions_of_a_model_share_no_batch():
    older, newer = Version(OLD), Version(NEW)
    local = LocalInference(lambda: Loaded("cpu", {"track": newer}, {}, {"track": older}))
    await local.open()
    states = [None, state_of(OLD), state_of(NEW), state_of(OLD), state_of("c" * 64)]
    asked = (local.ask("track", Question({}, {}, state)) for state in states)
    answers = await asyncio.gather(*asked)
    await local.close()
    assert [answer.outputs["at"] for answer in answers] == [NEW, OLD, NEW, OLD, NEW]
    assert (newer.batches, older.batches) == ([3], [2])


def picture() -> bytes:
    """A face that is found quickly."""
    data = io.BytesIO()
    Image.open(PORTRAIT).resize((192, 192)).save(data, "JPEG")
    return data.getvalue()


@asynccontextmanager
async def embedded(redis_url: str, **stores: Path) -> AsyncIterator[Service]:
    settings = Settings(device="cpu", **stores)
    local = LocalInference.from_settings(settings)
    async with serving(local, redis_url=redis_url) as service:
        yield service


async def send(service: Service, session: str, times: range) -> list[tuple[str, str, int]]:
    """Status, version and step of the replies to a few frames on a socket of their own."""
    image = picture()
    async with service.open(session) as socket:
        replies = [await step(socket, headed(image, n / 25)) for n in times]
    return [(reply["status"], reply["model"]["version"], reply["step"]) for reply in replies]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_rolling_the_embedded_models_loses_no_session(own_redis, tmp_path):
    newer = next_version(tmp_path / "newer")
    async with embedded(own_redis.url, model_store=SHIPPED) as service:
        before = await send(service, "live", range(3))
        (old,) = {version for _, version, _ in before}
    async with embedded(own_redis.url, model_store=newer, previous_model_store=SHIPPED) as service:
        assert await send(service, "live", range(3, 6)) == [
            ("tracking", old, step) for step in (4, 5, 6)
        ]
        assert (await send(service, "fresh", range(2)))[-1] == ("tracking", "next", 2)
        models = (await service.http.get("/models")).json()["models"]
        told = [model["version"] for model in models if model["name"] == "track"]
        assert told == ["next", old]
    async with embedded(own_redis.url, model_store=newer) as service:
        assert (await send(service, "fresh", range(2, 4)))[-1] == ("tracking", "next", 4)
        assert (await send(service, "live", range(6, 8)))[0] == ("reset", "next", 7)
