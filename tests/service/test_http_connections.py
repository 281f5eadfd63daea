"""Connections end: nobody without a key holds one for long, and whoever is refused is told."""

import asyncio
import contextlib
import json

import pytest

from service.errors import URN
from service.http.connections import LEAST_BYTES
from tests.service.counting import CountingTracker, frames, headed, serving, step
from tests.service.test_http_limits import Connection, connect
from tests.waiting import MOST_S, until

UPGRADE = (
    "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
MORE = "X-More: a\r\n"
ALIVE = "GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def until_closed(connection: Connection) -> bytes:
    """Return all that still comes."""
    async with asyncio.timeout(MOST_S):
        return await connection.reader.read()


async def answer(connection: Connection) -> tuple[int, str]:
    """Return status and problem of the next reply."""
    async with asyncio.timeout(MOST_S):
        status, _, body = await connection.reply()
    return status, str(body["type"])


@pytest.mark.parametrize(
    "request_text",
    [
        f"GET /track/{'a' * 9000} HTTP/1.1\r\n{UPGRADE}\r\n",
        f"GET /track/s HTTP/1.1\r\n{UPGRADE}X-Long: {'a' * 9000}\r\n\r\n",
        f"GET /track/s HTTP/1.1\r\n{UPGRADE}{140 * MORE}\r\n",
        f"GET /track/s HTTP/1.1\r\n{UPGRADE}Content-Length: 5\r\n\r\nhello",
        f"GET /track/s HTTP/1.1\r\n{UPGRADE}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    ],
    ids=["path", "header", "headers", "body", "chunks"],
)
async def test_an_upgrade_that_cannot_be_read_is_refused_and_closed(
    run_server, request_text, monkeypatch
):
    monkeypatch.setattr("service.http.connections.LINGER_S", 0.2)
    async with run_server() as (server, port), connect(port) as connection:
        await connection.send(request_text)
        assert await answer(connection) == (400, URN + "http-error")
        assert await until_closed(connection) == b""
        await no_connections(server)


async def no_connections(server) -> None:
    async with asyncio.timeout(MOST_S):
        await until(lambda: not server.server_state.connections)


async def test_a_connection_that_says_nothing_is_closed(run_server):
    async with run_server(head_timeout_s=0.1) as (_, port), connect(port) as connection:
        assert await until_closed(connection) == b""


async def test_a_head_in_part_is_answered_and_closed(run_server):
    async with run_server(head_timeout_s=0.1) as (_, port), connect(port) as connection:
        await connection.send("GET /health/live HTTP/1.1\r\nHost:")
        assert await answer(connection) == (408, URN + "head-too-slow")
        assert await until_closed(connection) == b""


@pytest.mark.parametrize("before", ["", ALIVE], ids=["first", "second"])
async def test_a_head_that_drips_is_cut_off_however_often_it_goes_on(run_server, before):
    async with run_server(head_timeout_s=0.3) as (_, port), connect(port) as connection:
        if before:
            await connection.send(before)
            assert (await connection.reply())[0] == 200
        await connection.send("GET / HTTP/1.1\r\n")
        reply = asyncio.create_task(answer(connection))
        with contextlib.suppress(ConnectionError):
            while not reply.done():
                await connection.send("X: a\r\n")
                await asyncio.sleep(0.02)
        assert await reply == (408, URN + "head-too-slow")


async def test_a_body_that_nobody_asked_for_cannot_drip_for_ever(run_server):
    async with run_server(head_timeout_s=0.2) as (server, port), connect(port) as connection:
        await connection.send(
            "POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n\r\n"
        )
        assert (await connection.reply())[0] == 404
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(MOST_S):
                while server.server_state.connections:
                    await connection.send("a")
                    await asyncio.sleep(0.02)
        assert not server.server_state.connections


async def test_a_reply_that_is_not_read_is_given_up(run_server, picture, inference):
    inference.outputs["overlay"] = bytes(32 * 2**20)
    head = "POST /align HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: image/png\r\n"
    data = picture()
    async with run_server(head_timeout_s=0.2) as (server, port), connect(port) as connection:
        await connection.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        connection.writer.transport.pause_reading()
        async with asyncio.timeout(MOST_S):
            await inference.asked.wait()
        await no_connections(server)


async def test_a_reply_that_is_read_slowly_is_given_time(run_server, picture, inference):
    size = 8 * 2**20
    inference.outputs["overlay"] = bytes(size)
    head = "POST /align HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: image/png\r\nConnection: close\r\n"
    data = picture()
    # Reading takes longer than a head may, and no pause comes near to it on a busy machine.
    async with run_server(head_timeout_s=2.0) as (_, port), connect(port) as connection:
        await connection.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await connection.reader.readuntil(b"\r\n\r\n")
        received = 0
        while received < size:
            received += len(await connection.reader.read(16 * LEAST_BYTES))
            await asyncio.sleep(0.08)
        assert received == size


async def test_a_reply_that_is_not_read_keeps_its_place_and_little_memory(
    run_server, picture, inference
):
    inference.outputs["overlay"] = bytes(64 * 2**20)
    head = "POST /align HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: image/png\r\n"
    data = picture()
    async with contextlib.AsyncExitStack() as stack:
        server, port = await stack.enter_async_context(run_server(max_in_flight=2))
        for _ in range(2):
            connection = await stack.enter_async_context(connect(port))
            connection.writer.transport.pause_reading()
            await connection.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        async with asyncio.timeout(MOST_S):
            await until(lambda: len(inference.questions) >= 2)
        refused = await stack.enter_async_context(connect(port))
        await refused.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        assert await answer(refused) == (503, URN + "overloaded")
        waiting = [
            connection.transport.get_write_buffer_size()
            for connection in server.server_state.connections
        ]
        assert sum(waiting) < 2**20


async def test_more_connections_of_an_address_than_it_may_have_are_told_and_closed(run_server):
    async with contextlib.AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(
            run_server(max_connections=8, max_connections_each=3)
        )
        held = [await stack.enter_async_context(connect(port)) for _ in range(3)]
        for connection in held:
            await connection.send(ALIVE)
            assert (await connection.reply())[0] == 200
        for _ in range(100):
            async with connect(port) as more:
                assert await answer(more) == (503, URN + "overloaded")
                assert await until_closed(more) == b""
        held[0].writer.close()
        await held[0].writer.wait_closed()
        async with asyncio.timeout(MOST_S), connect(port) as next_one:
            await next_one.send(ALIVE)
            assert (await next_one.reply())[0] == 200


async def test_a_socket_has_the_place_of_its_connection_and_gives_it_back():
    async with serving(CountingTracker(), max_connections=2) as service:
        # The place of the client that asks for metrics is one of the two.
        await service.http.get("/health/live")
        for number in range(4):
            async with service.open(f"s{number}") as socket:
                await step(socket, headed(*frames(1)[0]))
                async with connect(service.port) as third:
                    assert await answer(third) == (503, URN + "overloaded")
            await service.http.get("/health/live")
            await until(service.has_closed_all)


async def test_a_request_at_work_may_take_longer_than_a_head(run_server, picture, inference):
    inference.release = asyncio.Event()
    data = picture()
    head = "POST /align HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    async with run_server(head_timeout_s=0.1) as (_, port), connect(port) as connection:
        await connection.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await inference.asked.wait()
        await asyncio.sleep(0.3)
        inference.release.set()
        status, _, body = await connection.reply()
    assert (status, "faces" in json.loads(json.dumps(body))) == (200, True)
