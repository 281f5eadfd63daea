"""The live socket over a real connection: one reply a frame, in order, whatever a frame holds."""

import time

import pytest
from websockets.asyncio.client import connect

from service.errors import URN
from tests.service.counting import box, expected_boxes, frames, headed, serving, step

RESET = '{"type": "reset"}'


@pytest.fixture
async def service(tracker):
    async with serving(tracker) as service:
        yield service


async def test_every_frame_gets_one_reply_that_goes_on_from_the_last(service):
    clip = frames(5)
    async with service.open() as socket:
        replies = [await step(socket, headed(*frame)) for frame in clip]
    assert [box(reply) for reply in replies] == expected_boxes(clip)
    assert [reply["sequence"] for reply in replies] == [0, 1, 2, 3, 4]
    assert [reply["step"] for reply in replies] == [1, 2, 3, 4, 5]
    assert [reply["time_s"] for reply in replies] == [time_s for _, time_s in clip]
    assert {reply["status"] for reply in replies} == {"tracking"}
    assert all(reply["stored"] for reply in replies)


async def test_a_reply_says_who_answered_and_how_long_it_took(service):
    async with service.open() as socket:
        reply = await step(socket, frames(1)[0][0])
    assert reply["model"] == {"name": "track", "version": "1", "sha256": 64 * "0"}
    assert reply["image"] == {"width": 64, "height": 48}
    assert len(reply["faces"][0]["landmarks"]) == 68
    assert {"track", "wait", "store"} <= reply["timings_ms"].keys()


async def test_a_bare_frame_has_the_time_of_its_arrival(service, tracker):
    async with service.open() as socket:
        reply = await step(socket, frames(1)[0][0])
    assert abs(reply["time_s"] - time.time()) < 5
    assert round(tracker.last.inputs["time_s"], 6) == reply["time_s"]


async def test_the_session_outlives_its_socket(service):
    clip = frames(4)
    replies = []
    for frame in clip:
        async with service.open() as socket:
            replies.append(await step(socket, headed(*frame)))
    assert [box(reply) for reply in replies] == expected_boxes(clip)
    assert [reply["sequence"] for reply in replies] == [0, 0, 0, 0]
    assert [reply["step"] for reply in replies] == [1, 2, 3, 4]


async def test_interleaved_sessions_are_two_separate_ones(service):
    clip = frames(6)
    async with service.open("one") as one, service.open("two") as two:
        replies = [await step((one, two)[n % 2], headed(*clip[n])) for n in range(6)]
    for first in (0, 1):
        assert [box(reply) for reply in replies[first::2]] == expected_boxes(clip[first::2])


async def test_options_of_the_address_reach_the_model(service, tracker):
    query = "?max_faces=3&min_face_px=60&steady=false&smoothing=true&variant=crt"
    async with service.open(query=query) as socket:
        await step(socket, frames(1)[0][0])
    assert tracker.last.options == {
        "max_faces": 3,
        "min_face_px": 60,
        "min_quality": 0.15,
        "steady": False,
        "smoothing": True,
        "variant": "crt",
        "max_pixels": 8_300_000,
    }


async def test_a_text_before_the_first_frame_sets_options(service, tracker):
    async with service.open(query="?max_faces=3") as socket:
        await socket.send('{"type": "options", "smoothing": true}')
        await step(socket, frames(1)[0][0])
    assert (tracker.last.options["max_faces"], tracker.last.options["smoothing"]) == (3, True)


async def test_options_that_want_to_be_confirmed_are_answered_once_they_are_taken(service):
    async with service.open(query="?max_faces=3") as socket:
        asked = '{"type": "options", "smoothing": true, "confirm": true}'
        reply = await step(socket, asked)
        refused = await step(socket, asked.replace("true,", '"very",', 1))
        first = await step(socket, headed(*frames(1)[0]))
    assert reply["type"] == "options"
    assert (reply["options"]["max_faces"], reply["options"]["smoothing"]) == (3, True)
    assert "confirm" not in reply["options"]
    assert (refused["of"], first["sequence"]) == ("text", 0)


async def test_times_that_go_back_are_taken_with_a_note_until_a_reset(service):
    clip = frames(1)[0][0]
    async with service.open() as socket:
        replies = [await step(socket, headed(clip, at)) for at in (0, 0.04, 0.02, 0.02, 5, 1)]
        await socket.send(RESET)
        replies.append(await step(socket, headed(clip, 0.5)))
    told = [[note for note in reply["notes"] if "go back" in note] for reply in replies]
    assert [len(notes) for notes in told] == [0, 0, 1, 0, 0, 1, 0]
    assert "1 s came after 5 s" in told[5][0]
    assert [reply["step"] for reply in replies] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("time_s", [float("nan"), -3.0, 1e300])
async def test_a_time_that_cannot_be_is_told_as_none(service, time_s):
    async with service.open() as socket:
        reply = await step(socket, headed(frames(1)[0][0], time_s))
    assert (reply["error"]["type"], reply["time_s"]) == (URN + "invalid-time", None)


async def test_a_text_that_asks_for_nothing_known_is_answered_and_spoils_nothing(service):
    clip = frames(2)
    async with service.open() as socket:
        for text in (
            "",
            "hello",
            '{"type": "options", "max_faces": 99}',
            '{"type": "options", "variant": "crt-9"}',
        ):
            reply = await step(socket, text)
            assert (reply["status"], reply["sequence"]) == ("error", None)
            assert reply["error"]["type"] == URN + "invalid-request"
        first = await step(socket, headed(*clip[0]))
        late = await step(socket, '{"type": "options", "max_faces": 2}')
        assert "before the first frame" in late["error"]["detail"]
        second = await step(socket, headed(*clip[1]))
    assert [box(first), box(second)] == expected_boxes(clip)


async def test_reset_starts_anew_with_the_next_frame(service):
    clip = frames(4)
    async with service.open() as socket:
        before = [await step(socket, headed(*frame)) for frame in clip[:2]]
        await socket.send(RESET)
        after = [await step(socket, headed(*frame)) for frame in clip[2:]]
    assert [box(reply) for reply in before] == expected_boxes(clip[:2])
    assert [box(reply) for reply in after] == expected_boxes(clip[2:])
    assert [reply["status"] for reply in after] == ["reset", "tracking"]
    assert [reply["step"] for reply in after] == [3, 4]


async def test_reset_holds_until_a_frame_can_be_looked_at(service):
    clip = frames(2)
    async with service.open() as socket:
        await step(socket, headed(*clip[0]))
        await socket.send(RESET)
        assert (await step(socket, b"no picture"))["status"] == "error"
        after = await step(socket, headed(*clip[1]))
    assert (after["status"], box(after)) == ("reset", *expected_boxes(clip[1:]))


async def test_a_state_of_another_model_version_starts_anew_and_says_so(service, tracker):
    clip = frames(2)
    async with service.open() as socket:
        await step(socket, headed(*clip[0]))
        tracker.magic = b"cnt2"
        after = await step(socket, headed(*clip[1]))
    assert (after["status"], after["step"]) == ("reset", 2)
    assert [box(after)] == expected_boxes(clip[1:])


@pytest.mark.parametrize(
    ("message", "slug"),
    [
        (b"", "empty-body"),
        (b"hello", "not-an-image"),
        (b"F", "invalid-request"),
        (b"F" + bytes(8), "empty-body"),
        (b"F" + b"\xff" * 8 + b"\xff\xd8", "invalid-time"),
        (b"\xff\xd8\xff", "invalid-image"),
        (b"%PDF-1.7", "not-an-image"),
        (b"S" + bytes(8) + bytes(100), "not-an-image"),
        (b"\xff\xd8" + bytes(2 * 2**20), "body-too-large"),
    ],
)
async def test_a_bad_frame_gets_an_error_and_the_session_goes_on(service, message, slug):
    clip = frames(2)
    async with service.open() as socket:
        first = await step(socket, headed(*clip[0]))
        bad = await step(socket, message)
        second = await step(socket, headed(*clip[1]))
    assert (bad["status"], bad["sequence"], bad["error"]["type"]) == ("error", 1, URN + slug)
    assert [box(first), box(second)] == expected_boxes(clip)
    assert (second["sequence"], second["step"]) == (2, 2)


async def test_a_frame_that_the_model_refuses_leaves_the_session_where_it_was(service, tracker):
    clip = frames(2)
    async with service.open() as socket:
        await step(socket, headed(*clip[0]))
        bad = await step(socket, clip[1][0] + b"CUT")
        tracker.error = RuntimeError("a fault in the model")
        failed = await step(socket, clip[1][0])
        tracker.error = None
        second = await step(socket, headed(*clip[1]))
    assert bad["error"]["type"] == URN + "truncated-image"
    assert failed["error"]["type"] == URN + "internal"
    assert "fault" not in failed["error"]["detail"]
    assert box(second) == expected_boxes(clip)[1]


async def test_a_model_that_answers_nonsense_is_an_error_of_its_frame(service, monkeypatch):
    clip = frames(1)
    async with service.open() as socket:
        with monkeypatch.context() as patch:
            patch.setattr("tests.service.counting.POINTS", 3)
            assert (await step(socket, clip[0][0]))["error"]["type"] == URN + "internal"
        assert (await step(socket, clip[0][0]))["step"] == 1


async def test_a_frame_of_too_many_pixels_never_reaches_the_model(tracker):
    async with serving(tracker, max_frame_pixels=64 * 48) as service, service.open() as socket:
        clip = frames(2)
        assert (await step(socket, clip[0][0]))["status"] == "tracking"
        assert (await step(socket, clip[1][0]))["error"]["type"] == URN + "too-many-pixels"
    assert tracker.steps == 1


async def test_frames_sessions_and_the_store_are_measured(service, tracker):
    async with service.open() as socket:
        await step(socket, frames(1)[0][0])
        await step(socket, b"x")
        await socket.send(RESET)
        await step(socket, frames(1)[0][0])
        assert await service.metric('countenance_sockets{model="track"}') == 1
    async with service.open() as socket:
        await step(socket, frames(1)[0][0])
    for line, value in [
        ('countenance_frames_total{model="track",status="tracking"}', 2),
        ('countenance_frames_total{model="track",status="error"}', 1),
        ('countenance_frames_total{model="track",status="reset"}', 1),
        ('countenance_sessions_total{event="started",model="track"}', 1),
        ('countenance_sessions_total{event="resumed",model="track"}', 1),
        ('countenance_sessions_total{event="reset",model="track"}', 1),
        ('countenance_store_seconds_count{operation="commit",outcome="answered"}', 3),
    ]:
        assert await service.metric(line) == value, line


@pytest.mark.parametrize("path", ["", "nothing-here", "track", "web/x", "track/a/b", "align"])
async def test_a_socket_of_an_unknown_address_is_told_so(service, path):
    async with connect(f"ws://127.0.0.1:{service.port}/{path}", proxy=None) as socket:
        await socket.wait_closed()
    assert (socket.close_code, socket.close_reason) == (4404, "not-found")
