"""Who may open sockets, how many, how fast and for how long, and that nothing is left behind."""

import asyncio
import gc
import tracemalloc

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.errors import URN
from service.keys import new_key
from tests.service.counting import (
    box,
    closed,
    expected_boxes,
    frames,
    headed,
    receive,
    serving,
    step,
)
from tests.waiting import MOST_S, until

PICTURE = frames(1)[0][0]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def two_principals(tmp_path):
    """Return a keys file, two keys of alice and one of bob."""
    (first, one), (second, two), (other, three) = (new_key(n) for n in ("alice", "alice", "bob"))
    path = tmp_path / "keys.toml"
    path.write_text(one + two + three)
    return path, first, second, other


async def test_a_socket_is_one_request_in_the_measurements(tracker):
    async with serving(tracker) as service:
        async with service.open() as socket:
            await step(socket, PICTURE)
        labels = 'method="WEBSOCKET",route="/track/{session}",status="101"'
        line = "countenance_requests_total{" + labels + "}"
        await until(lambda: service.metric(line))
        assert await service.metric(line) == 1


async def test_a_socket_needs_a_known_key_and_says_so_by_its_close_code(tracker, two_principals):
    async with serving(tracker, api_keys_file=two_principals[0]) as service:
        for headers in ({}, bearer("wrong"), {"Authorization": "Basic YTpi"}):
            async with service.open(additional_headers=headers) as socket:
                assert await closed(socket) == (4401, "unauthenticated")
    assert tracker.steps == 0


async def test_browsers_send_their_key_as_a_subprotocol_that_is_not_sent_back(
    tracker, two_principals
):
    path, key, _, _ = two_principals
    async with serving(tracker, api_keys_file=path) as service:
        async with service.open(subprotocols=["countenance", f"bearer.{key}"]) as socket:
            assert socket.subprotocol == "countenance"
            assert (await step(socket, PICTURE))["step"] == 1
        async with service.open(subprotocols=["countenance", "bearer.wrong"]) as socket:
            assert await closed(socket) == (4401, "unauthenticated")


async def test_sessions_belong_to_the_principal_and_not_to_the_key(tracker, two_principals):
    path, first, second, other = two_principals
    async with serving(tracker, api_keys_file=path) as service:
        steps = []
        for key in (first, second, other):
            async with service.open(additional_headers=bearer(key)) as socket:
                steps.append((await step(socket, PICTURE))["step"])
        assert steps == [1, 2, 1]
        found = await service.http.get("/sessions/s", headers=bearer(first))
        assert found.json()["streams"][0]["step"] == 2
        await service.http.delete("/track/s", headers=bearer(other))
        statuses = [
            (await service.http.get("/sessions/s", headers=bearer(key))).status_code
            for key in (second, other)
        ]
    assert statuses == [200, 404]


async def test_what_a_proxy_passes_on_gets_no_socket_without_keys(tracker):
    async with serving(tracker) as service:
        with pytest.raises(InvalidStatus) as caught:
            await service.open(additional_headers={"X-Forwarded-For": "1"})
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_a_page_of_another_origin_is_told_why_its_socket_is_closed(tracker, origin, caplog):
    async with serving(tracker) as service:
        for _ in range(2):
            async with service.open(origin=origin, subprotocols=["countenance"]) as socket:
                assert await closed(socket) == (4403, "origin-not-allowed")
    lines = [one for one in caplog.records if one.message == "turned away"]
    assert len(lines) == 1
    assert "COUNTENANCE_ALLOWED_ORIGINS" in lines[0].fields["why"]


async def test_a_host_name_that_is_not_the_service_s_gets_no_socket(tracker):
    async with serving(tracker, allowed_hosts="faces.example") as service:
        address = f"ws://evil.example:{service.port}/track/s"
        with pytest.raises(InvalidStatus):
            await connect(address, host="127.0.0.1", port=service.port, proxy=None)
        async with service.open() as socket:  # by the very address that it listens on
            assert (await step(socket, PICTURE))["step"] == 1


async def test_a_page_of_the_service_itself_gets_a_socket(tracker):
    async with serving(tracker) as service:
        origin = f"http://127.0.0.1:{service.port}"
        async with service.open(origin=origin) as socket:
            assert (await step(socket, PICTURE))["step"] == 1


async def test_a_principal_has_so_many_sockets_and_gets_one_back_by_closing(tracker):
    async with serving(tracker, max_sockets=2) as service, service.open("a"):
        async with service.open("b"), service.open("c") as third:
            assert await closed(third) == (4429, "too-many-sockets")
        async with service.open("c") as third:
            assert (await step(third, PICTURE))["step"] == 1


async def test_a_key_that_connects_too_often_is_told(tracker, keys):
    path, _, limited = keys
    async with serving(tracker, api_keys_file=path) as service:
        codes = []
        for _ in range(3):
            async with service.open(additional_headers=bearer(limited)) as socket:
                try:
                    await step(socket, b"")
                    codes.append(1000)
                except ConnectionClosed:
                    codes.append(socket.close_code)
    assert codes == [1000, 1000, 4429]


async def test_frames_are_looked_at_no_faster_than_the_rate(tracker):
    async with serving(tracker, max_frames_per_s=20) as service, service.open() as socket:
        started = asyncio.get_running_loop().time()
        for _ in range(15):
            assert (await step(socket, PICTURE))["status"] == "tracking"
        seconds = asyncio.get_running_loop().time() - started
    assert seconds > (15 - 1 - 5) / 20 * 0.9


async def test_a_client_that_is_faster_than_the_rate_gets_its_newest_frames(tracker):
    async with serving(tracker, max_frames_per_s=4) as service, service.open() as socket:
        started = asyncio.get_running_loop().time()
        await _send_all(socket, [PICTURE] * 60)
        replies = [await receive(socket) for _ in range(60)]
        seconds = asyncio.get_running_loop().time() - started
    looked_at = sum(reply["status"] == "tracking" for reply in replies)
    assert 2 <= looked_at <= 4 * (seconds + 0.25) + 1
    assert replies[-1]["status"] == "tracking"


async def test_a_silent_client_is_closed(tracker):
    async with serving(tracker, socket_idle_s=0.2) as service, service.open() as socket:
        assert (await step(socket, PICTURE))["step"] == 1
        assert await closed(socket) == (4408, "idle")


async def test_a_client_that_waits_for_a_long_step_is_not_silent(tracker):
    tracker.delay_s = 0.5
    async with serving(tracker, socket_idle_s=0.2) as service, service.open() as socket:
        await socket.send(PICTURE)
        await asyncio.wait_for(tracker.asked.wait(), MOST_S)
        await socket.send(PICTURE)
        assert [(await receive(socket))["step"] for _ in range(2)] == [1, 2]


async def test_a_client_that_never_reads_is_closed_and_its_place_is_free_again(tracker):
    """Its connection cannot even take the close: the service must not wait for that either."""
    tracker.notes = ["x" * 500_000]
    async with serving(tracker, socket_send_s=0.2, max_sockets=1) as service:
        socket = await service.open(query="?drop=false", max_queue=1)
        sending = asyncio.create_task(_send_all(socket, [PICTURE] * 100))
        await until(lambda: tracker.steps)
        await until(lambda: service.has_closed_all())
        tracker.notes = []
        async with service.open("next") as other:
            assert (await step(other, PICTURE))["step"] == 1
        sending.cancel()
        socket.transport.abort()
        await asyncio.gather(sending, return_exceptions=True)
    assert tracker.steps < 90


async def _send_all(socket, messages):
    for message in messages:
        await socket.send(message)


async def test_a_message_beyond_every_limit_closes_the_socket_but_not_the_session(tracker):
    clip = frames(2)
    async with serving(tracker, max_upload_bytes=100_000) as service:
        async with service.open() as socket:
            first = await step(socket, headed(*clip[0]))
            await socket.send(bytes(200_000))
            assert (await closed(socket))[0] == 1009
        async with service.open() as socket:
            second = await step(socket, headed(*clip[1]))
    assert [box(first), box(second)] == expected_boxes(clip)


async def test_a_post_beyond_the_frame_limit_is_refused(tracker):
    async with serving(tracker, max_frame_bytes=500) as service:
        reply = await service.post(PICTURE + bytes(500))
    assert (reply.status_code, reply.json()["type"]) == (413, URN + "body-too-large")


async def test_text_that_is_no_utf8_closes_the_socket_but_not_the_session(tracker):
    async with serving(tracker) as service:
        async with service.open() as socket:
            await step(socket, PICTURE)
            await socket.send(b"\xff\xfe\xfd", text=True)
            assert (await closed(socket))[0] == 1007
        async with service.open() as socket:
            assert (await step(socket, PICTURE))["step"] == 2


async def _live_and_die(service, count: int) -> None:
    for number in range(count):
        async with service.open(f"s{number}") as socket:
            await step(socket, PICTURE)
            await socket.send(b"\xff\xd8 cut short")
            await socket.send("{")
            await receive(socket)
        assert (await service.http.delete(f"/track/s{number}")).status_code == 204


@pytest.mark.slow
async def test_hundreds_of_sessions_leave_nothing_behind(tracker):
    async with serving(tracker, max_sessions=100) as service:
        await _live_and_die(service, 300)
        tracemalloc.start()
        try:
            held = []
            for _ in range(2):
                await _live_and_die(service, 200)
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        assert held[1] - held[0] < 200 * 1_000  # a session that is kept takes many times that
        assert await service.metric('countenance_sockets{model="track"}') == 0
