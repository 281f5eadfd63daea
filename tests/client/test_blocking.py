"""Promises of the client for plain Python, against a real server."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import service.client as service_client
from service.align.interface import ALIGN_REPLY
from service.client import Countenance, ProblemError, UnreachableError
from service.errors import ConfigurationError, Problem
from service.keys import new_key
from service.live.messages import ErrorReply
from service.schemas import AlignReply
from service.track.replies import TrackReply
from tests.client.conftest import RunningService
from tests.client.wire import Wire
from tests.service.counting import expected_boxes, frames

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def client(service: RunningService) -> Iterator[Countenance]:
    with Countenance(service.url) as client:
        yield client


@pytest.fixture
def wire(service: RunningService) -> Iterator[Wire]:
    wire = Wire(service.port)
    yield wire
    wire.close()


def boxes(replies: list[TrackReply]) -> list[list[float]]:
    return [list(reply.faces[0].box) for reply in replies]


def test_a_picture_gives_a_typed_reply(client: Countenance, service: RunningService) -> None:
    reply = client.align(frames(1)[0][0], boxes=[(1, 2, 30, 40)], include=("aligned",))
    assert reply == AlignReply.model_validate(ALIGN_REPLY)
    options = service.models.questions[-1].options
    assert (options["boxes"], options["include"]) == ([[1.0, 2.0, 30.0, 40.0]], ["aligned"])


def test_a_refusal_comes_with_the_words_of_the_service(client: Countenance) -> None:
    with pytest.raises(ProblemError) as caught:
        client.align(b"no picture")
    assert caught.value.problem is Problem.NOT_AN_IMAGE
    assert caught.value.type == Problem.NOT_AN_IMAGE.uri
    assert (caught.value.status, caught.value.retry_after) == (415, None)
    assert "text that begins 'no picture'" in str(caught.value)


def test_a_live_option_that_does_not_fit_is_named(client: Countenance) -> None:
    with client.track_live("s", max_faces=99) as session, pytest.raises(ProblemError) as caught:
        session.step(*frames(1)[0])
    assert caught.value.problem is Problem.INVALID_REQUEST
    assert "max_faces: Input should be less than or equal to 8" in str(caught.value)


def test_a_closed_client_says_so(service: RunningService) -> None:
    client = Countenance(service.url)
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.models()


def test_an_address_without_its_scheme_is_named() -> None:
    with pytest.raises(ConfigurationError, match="write http://localhost:8771"):
        Countenance("localhost:8771")


def test_who_asks_too_often_learns_when_to_come_back(tmp_path: Path) -> None:
    key, entry = new_key("lab")
    (tmp_path / "keys.toml").write_text(entry + "requests_per_minute = 1\n")
    service = RunningService(api_keys_file=tmp_path / "keys.toml")
    try:
        with Countenance(service.url, key) as client:
            client.models()
            with pytest.raises(ProblemError) as caught:
                client.models()
        with Countenance(service.url) as stranger, stranger.track_live("s") as session:
            with pytest.raises(ProblemError) as refused:
                stranger.models()
            with pytest.raises(ProblemError) as closed:
                session.step(frames(1)[0][0])
    finally:
        service.stop()
    assert caught.value.problem is Problem.RATE_LIMITED
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 0
    assert refused.value.problem is Problem.UNAUTHENTICATED
    assert closed.value.problem is Problem.UNAUTHENTICATED


def test_no_service_at_the_address_is_said_at_once() -> None:
    with Countenance("http://127.0.0.1:9") as client:
        with pytest.raises(UnreachableError, match="no answer from"):
            client.models()
        with pytest.raises(UnreachableError, match="no answer from"), client.track_live("s"):
            pass


def test_frames_are_followed_in_order_with_few_at_once(
    client: Countenance, service: RunningService
) -> None:
    clip = frames(7)
    with client.track_live("s", max_faces=2) as session:
        replies = list(session.follow(clip))
    assert boxes(replies) == expected_boxes(clip)
    assert [reply.time_s for reply in replies] == [time_s for _, time_s in clip]
    assert service.models.last.options["max_faces"] == 2
    assert client.session("s").streams[0].step == 7
    client.end_tracking("s")
    with pytest.raises(ProblemError):
        client.session("s")


def test_a_frame_that_is_no_picture_is_answered_and_the_session_goes_on(
    client: Countenance,
) -> None:
    clip = frames(2)
    with client.track_live("s") as session:
        first = session.step(*clip[0])
        refused = session.step(b"no picture", 1.0)
        second = session.step(clip[1][0], 2.0)
    assert isinstance(refused, ErrorReply)
    assert refused.error.type == Problem.NOT_AN_IMAGE.uri
    assert [first.step, second.step] == [1, 2]


def test_a_cut_connection_is_made_anew_and_the_session_goes_on(wire: Wire) -> None:
    clip = frames(9)
    with Countenance(wire.url) as client, client.track_live("s") as session:
        replies = []
        for number, reply in enumerate(session.follow(cutting(clip, wire, at={3, 6}))):
            replies.append(reply)
            assert reply.status == "tracking", number
    assert [reply.time_s for reply in replies] == [time_s for _, time_s in clip]
    assert session.reconnections >= 2
    # A frame whose reply was lost with the connection has been seen twice, never not at all.
    assert len(clip) <= replies[-1].step <= len(clip) + 2 * session.reconnections


def cutting(clip, wire: Wire, at: set[int]):
    for number, frame in enumerate(clip):
        if number in at:
            wire.cut()
        yield frame


def test_a_session_that_was_taken_is_not_fought_for(client: Countenance) -> None:
    image = frames(1)[0][0]
    with client.track_live("s") as old:
        old.step(image, 1.0)
        with client.track_live("s") as new:
            new.step(image, 2.0)
            last = old.step(image, 3.0)
            assert isinstance(last, ErrorReply)
            with pytest.raises(ProblemError) as caught:
                old.step(image, 4.0)
    assert caught.value.problem is Problem.SESSION_TAKEN


def test_a_reset_begins_with_the_next_frame(client: Countenance) -> None:
    clip = frames(3)
    with client.track_live("s") as session:
        session.step(*clip[0])
        session.reset()
        again = session.step(*clip[1])
    assert again.status == "reset"
    assert boxes([again]) == expected_boxes(clip[1:2])


def test_a_service_that_does_not_come_back_is_given_up(service: RunningService) -> None:
    wire = Wire(service.port)
    with Countenance(wire.url, reconnect_s=0.2) as client, client.track_live("s") as session:
        session.step(*frames(1)[0])
        wire.close()
        with pytest.raises(UnreachableError):
            session.step(*frames(2)[1])


def test_the_example_runs(
    service: RunningService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(frames(1)[0][0])
    code = textwrap.dedent(service_client.__doc__.split("\n\nPictures are")[0].split("\n", 2)[2])
    code = code.replace("http://localhost:8000", service.url).replace("photo.jpg", str(photo))
    names = {"Path": Path, "frames": frames(3)}
    exec(code, names)
    assert len(names["faces"]) == 1
    assert capsys.readouterr().out == "tracking\n" * 3


async def test_it_works_where_an_event_loop_runs_already(service: RunningService) -> None:
    assert asyncio.get_running_loop().is_running()
    with Countenance(service.url) as client:
        assert client.align(frames(1)[0][0]).faces


@pytest.mark.slow
def test_the_client_needs_neither_networks_nor_web_framework() -> None:
    program = (
        "import sys, service.client\n"
        "heavy = {'torch', 'numpy', 'cv2', 'fastapi', 'starlette', 'redis', 'handlers'}\n"
        "sys.exit(' '.join(sorted(heavy & sys.modules.keys())) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
