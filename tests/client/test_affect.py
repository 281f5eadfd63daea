"""Promises of both clients about affect: clips and live sessions, against a real server."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from service.affect.replies import AffectFrameLine, AffectReply, AffectSummaryLine
from service.client import AsyncCountenance, Countenance, ProblemError, UnreachableError
from service.client.wire import encoded as encoded_as_sent
from service.clips.replies import ClipLine
from service.errors import Problem
from service.media.clips.contents import RATE_HZ
from tests.client.conftest import RunningService
from tests.client.wire import Wire
from tests.made_clips import make_clip
from tests.service.counting import frames
from tests.service.feeling import CountingAffect

ORIENTATION = ExifTags.Base.Orientation
TIMES_S = [number / 25 for number in range(5)]
SECOND = bytes(2 * RATE_HZ)


@pytest.fixture
def service() -> Iterator[RunningService]:
    running = RunningService(CountingAffect())
    yield running
    running.stop()


@pytest.fixture
def client(service: RunningService) -> Iterator[Countenance]:
    with Countenance(service.url) as client:
        yield client


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "talk.mp4"
    return make_clip(path, TIMES_S, 64, 48, sound_s=0.3)


def test_a_clip_gives_a_typed_reply(client: Countenance, clip: Path) -> None:
    with clip.open("rb") as file:
        reply = client.affect(file, rate_hz=10, variant="vi", min_face_px=20)
    assert (reply.rate_hz, reply.clip.format, reply.clip.width) == (10, "mp4", 64)
    assert len(reply.frames) == 3
    assert reply.summary.share_with_face == 1


def test_a_photograph_gives_a_typed_reply_however_it_is_handed_over(
    client: Countenance, tmp_path: Path
) -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(picture).save(path)
    for photo in (picture, path, path.read_bytes()):
        reply = client.affect_photo(photo)
        (face,) = reply.faces
        assert (reply.variant, face.valence) == ("face-voice", 0.5)
        assert len(face.face.landmarks) == 68


def test_pictures_are_handed_over_as_files_and_in_any_mode(
    client: Countenance, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (160, 120)).save(path)
    with path.open("rb") as file:
        assert len(client.affect_photo(file).faces) == 1
    for mode in ("CMYK", "YCbCr", "F", "RGBX", "1", "P", "I;16", "LA"):
        assert len(client.affect_photo(Image.new(mode, (160, 120))).faces) == 1, mode


def test_a_picture_of_pillow_is_turned_as_its_file_would_be(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.jpg", exif=exif)
    with Image.open(tmp_path / "photo.jpg") as picture:
        sent = Image.open(io.BytesIO(encoded_as_sent(picture)))
    assert sent.size == (30, 40)
    assert ORIENTATION not in sent.getexif()


def test_a_photograph_sent_as_a_clip_is_told_the_method_for_it(
    client: Countenance, tmp_path: Path
) -> None:
    Image.new("RGB", (160, 120)).save(tmp_path / "photo.jpg")
    for ask in (client.affect, lambda file: list(client.affect_lines(file))):
        with pytest.raises(ProblemError, match="affect_photo"):
            ask(tmp_path / "photo.jpg")


def test_a_clip_gives_lines_as_they_are_known(client: Countenance, clip: Path) -> None:
    with clip.open("rb") as file:
        first, *between, last = client.affect_lines(file)
    assert isinstance(first, ClipLine)
    assert all(isinstance(line, AffectFrameLine) for line in between)
    assert [line.time_s for line in between] == pytest.approx(TIMES_S)
    assert isinstance(last, AffectSummaryLine)


async def test_a_clip_gives_the_same_where_nothing_waits(
    service: RunningService, clip: Path
) -> None:
    async with AsyncCountenance(service.url) as client:
        with clip.open("rb") as file:
            kinds = [line.type async for line in client.affect_lines(file)]
        with clip.open("rb") as file:
            reply = await client.affect(file)
    assert kinds == ["clip", *["frame"] * 5, "summary"]
    assert len(reply.frames) == 5


def test_what_is_no_clip_is_refused_in_the_words_of_the_service(client: Countenance) -> None:
    for ask in (client.affect, lambda file: list(client.affect_lines(file))):
        with pytest.raises(ProblemError) as caught:
            ask(io.BytesIO(b"no clip"))
        assert caught.value.problem is Problem.NOT_A_CLIP


def test_no_service_at_the_address_is_said_of_clips_too() -> None:
    with Countenance("http://127.0.0.1:9") as client, pytest.raises(UnreachableError):
        list(client.affect_lines(io.BytesIO(b"clip")))


def test_a_live_session_sees_and_hears(client: Countenance, service: RunningService) -> None:
    with client.affect_live("s", variant="vi") as session:
        replies = []
        for number, (image, _) in enumerate(frames(3)):
            session.hear(SECOND[: 2 * RATE_HZ // 25], number / 25)
            replies.append(session.step(image, number / 25))
        unseen = session.step(b"", 3 / 25)
    assert [reply.time_s for reply in (*replies, unseen)] == [0, 0.04, 0.08, 0.12]
    assert [reply.step for reply in replies] == [1, 2, 3]
    assert sum(len(pcm) for _, pcm in service.models.heard) == 3 * (2 * RATE_HZ // 25)
    assert service.models.last.options["variant"] == "vi"


def test_a_cut_session_goes_on_with_what_was_said_meanwhile(service: RunningService) -> None:
    wire = Wire(service.port)
    clip = [(image, number / 25) for number, (image, _) in enumerate(frames(4))]
    with Countenance(wire.url) as client, client.affect_live("s", ahead=1) as session:
        session.step(*clip[0])
        session.hear(SECOND[:882], 0.0)
        wire.cut()
        after = [session.step(*frame) for frame in clip[1:]]
    wire.close()
    assert [reply.time_s for reply in after] == [0.04, 0.08, 0.12]
    assert all(isinstance(reply, AffectReply) and reply.status == "ok" for reply in after)
    assert session.reconnections >= 1
    assert (0, SECOND[:882]) in service.models.heard


def test_sound_that_is_refused_is_a_complaint_and_stops_nothing(client: Countenance) -> None:
    with client.affect_live("s") as session:
        session.hear(b"odd", 0.0)
        reply = session.step(frames(1)[0][0], 0.0)
        assert reply.status == "ok"
        assert [found.type for found in session.complaints] == [Problem.INVALID_SOUND.uri]


def test_a_frame_without_its_time_is_a_mistake(client: Countenance) -> None:
    with client.affect_live("s") as session, pytest.raises(ValueError, match="needs its time"):
        session.step(frames(1)[0][0])
