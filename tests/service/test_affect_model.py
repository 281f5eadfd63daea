"""The real handler behind the service: a clip and a socket are one step, states come back whole."""

import asyncio
import io
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from service.affect.clip import AffectClip, Summarizer
from service.affect.session import AffectModel, AffectOptions
from service.affect.sounds import to_samples
from service.app import create_app
from service.clips.serving import ClipRun
from service.inference.loading import OPTIONAL, Loaded
from service.inference.local import LocalInference
from service.media.clips.contents import RATE_HZ, ClipChunk, ClipFrame, ClipInfo, Picture, Sound
from service.settings import Settings
from tests.service.counting import Service, receive, serving, step
from tests.waiting import MOST_S

pytest.importorskip("handlers.affect")

from handlers.affect import AffectHandler
from handlers.networks.variants import VARIANTS
from tests.handlers.affect_fakes import frame, parts, save, voice

COUNT, RATE_HZ_OF_FRAMES = 12, 25
TIMES_S = [number / RATE_HZ_OF_FRAMES for number in range(COUNT)]
NUMBERS = ("valence", "arousal", "gate")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    save(folder / "avi-gas")
    return folder


@pytest.fixture
def make_inference(store: Path):
    def make() -> LocalInference:
        def load() -> Loaded:
            handler = AffectHandler(store, load=lambda *_: parts(store, "avi-gas"))
            return Loaded("cpu", {"affect": handler})

        return LocalInference(load)

    return make


@asynccontextmanager
async def running(inference: LocalInference, **options: object) -> AsyncIterator[Service]:
    async with serving(inference, **options) as service:  # type: ignore[arg-type]
        service.model = "affect"
        yield service


def picture(number: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(frame(number)).save(data, "PNG")
    return data.getvalue()


def seen(number: int) -> bytes:
    return struct.pack("<cd", b"F", TIMES_S[number]) + picture(number)


def heard(start_s: float, end_s: float) -> bytes:
    """Return the message of the voice between two times, cut as the clip's is."""
    start, end = to_samples(start_s), to_samples(end_s)
    pcm = voice(4.0)[start:end].tobytes()
    return struct.pack("<cd", b"S", start / RATE_HZ) + pcm


class WholeClip:
    """A clip as it would be read: eight frames a chunk, sound 1.55 s ahead."""

    info = ClipInfo("mkv", COUNT / 25, "ffv1", 320, 240, 0, COUNT, None)
    totals = None

    async def __aiter__(self) -> AsyncIterator[ClipChunk]:
        pcm, start = voice(4.0), 0
        for at in range(0, COUNT, 8):
            numbers = range(at, min(at + 8, COUNT))
            end = to_samples(TIMES_S[numbers[-1]] + 1.55)
            frames = tuple(
                ClipFrame(TIMES_S[n], Picture(320, 240, frame(n).tobytes(), 1.0)) for n in numbers
            )
            yield ClipChunk(frames, Sound(start, pcm[start:end].tobytes()))
            start = end


async def test_a_clip_and_a_socket_give_the_same_numbers(make_inference):
    inference = make_inference()
    async with running(inference) as service:
        model = AffectModel(create_app(Settings(), inference).state.services)
        asking = AffectClip(model, AffectOptions(), 25.0)
        run = ClipRun(WholeClip(), asking)
        clip = [answer.frame async for answers in run.answers() for answer in answers]
        async with service.open(query="?drop=false") as socket:
            live, sent_s = [], 0.0
            for number, time_s in enumerate(TIMES_S):
                await socket.send(heard(sent_s, time_s + 1.6))
                sent_s = time_s + 1.6
                live.append(await step(socket, seen(number)))
    assert {reply["status"] for reply in live} == {"ok"}
    for one, other in zip(clip, live, strict=True):
        assert one.used == other["used"] == ["face", "voice"]
        for name in NUMBERS:
            assert getattr(one, name) == pytest.approx(other[name], abs=0.01), name
        assert one.attention == pytest.approx(other["attention"], abs=0.01)
        assert list(one.face.box) == pytest.approx(other["face"]["box"], abs=0.5)
    spread = max(one.valence for one in clip) - min(one.valence for one in clip)
    assert spread > 0.05, "frames that are all alike prove nothing"


async def test_a_session_goes_on_at_another_replica(make_inference, redis_server):
    alone = await _live(make_inference(), range(6))
    url = redis_server.url
    async with (
        running(make_inference(), redis_url=url, store_timeout_s=MOST_S) as one,
        running(make_inference(), redis_url=url, store_timeout_s=MOST_S) as two,
    ):
        hops = []
        for number in range(6):
            async with (one, two)[number // 2 % 2].open() as socket:
                await socket.send(heard(TIMES_S[number], TIMES_S[number] + 0.04))
                hops.append(await step(socket, seen(number)))
    for stayed, hopped in zip(alone, hops, strict=True):
        assert hopped["step"] == stayed["step"]
        for name in NUMBERS:
            assert hopped[name] == pytest.approx(stayed[name], abs=1e-4)


async def _live(inference: LocalInference, numbers: range) -> list[dict]:
    async with running(inference) as service, service.open() as socket:
        replies = []
        for number in numbers:
            await socket.send(heard(TIMES_S[number], TIMES_S[number] + 0.04))
            replies.append(await step(socket, seen(number)))
        return replies


async def test_a_missing_modality_is_reported_and_the_estimate_goes_on(make_inference):
    async with running(make_inference()) as service, service.open() as socket:
        face = await step(socket, seen(0))
        await socket.send(heard(0.0, 0.6))
        both = await step(socket, seen(1))
        voice_alone = await step(socket, struct.pack("<cd", b"F", 0.5))
        neither = await step(socket, struct.pack("<cd", b"F", 30.0))
    assert [reply["used"] for reply in (face, both, voice_alone, neither)] == [
        ["face"],
        ["face", "voice"],
        ["voice"],
        [],
    ]
    assert (face["gate"], voice_alone["gate"]) == (1.0, 0.0)
    assert 0 < both["gate"] < 1
    assert (neither["valence"], neither["arousal"]) == (None, None)


async def test_a_refusal_by_the_handler_is_the_error_of_its_message(make_inference):
    async with running(make_inference()) as service:
        async with service.open() as socket:
            await step(socket, seen(3))
        async with service.open() as socket:  # a new socket does not know the session's times
            early = await step(socket, seen(2))
            later = await step(socket, seen(4))
        assert early["error"]["type"].endswith("invalid-time")
        assert (later["status"], later["step"]) == ("ok", 2)


async def test_a_live_session_keeps_up_with_a_client_that_sends_faster(make_inference):
    async with running(make_inference()) as service, service.open() as socket:
        for number in range(COUNT):
            await socket.send(heard(TIMES_S[number], TIMES_S[number] + 0.04))
            await socket.send(seen(number))
        replies = [await receive(socket) for _ in range(COUNT)]
    assert {reply["status"] for reply in replies} <= {"ok", "dropped"}
    assert replies[-1]["status"] == "ok"
    assert [reply["sequence"] for reply in replies] == list(range(COUNT))


async def test_the_state_that_is_kept_is_small_and_its_size_can_be_asked(make_inference):
    async with running(make_inference()) as service:
        async with service.open() as socket:
            await socket.send(heard(0.0, 3.0))
            await asyncio.sleep(0)
            await step(socket, seen(COUNT - 1))
        reply = await service.http.get("/sessions/s")
    assert 1000 < reply.json()["streams"][0]["state_bytes"] < 160 * 1024


def test_every_variant_of_the_handler_makes_a_store_one_with_affect():
    assert set(OPTIONAL["affect"]) == VARIANTS.keys()


def test_without_frames_there_is_nothing_to_sum_up():
    summary = Summarizer(25.0).summary()
    assert (summary.valence, summary.gate_mean, summary.share_with_face) == (None, None, 0)
