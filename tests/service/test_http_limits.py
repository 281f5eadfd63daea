"""Bounds on size, time and number, seen from the other end of a real connection."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from service.errors import URN
from service.keys import new_key
from tests.service.counting import serving
from tests.service.test_openapi import Everything
from tests.waiting import MOST_S, until

LIMIT = 100_000
HEAD = "POST /align HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class Connection:
    """One connection whose bytes the test sends and reads itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)
        await self.writer.drain()

    async def reply(self) -> tuple[int, dict[str, str], dict[str, object]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.parametrize("more", ["", "Expect: 100-continue\r\n"], ids=["sends", "waits"])
async def test_a_declared_length_over_the_limit_is_answered_before_any_body(
    run_server, inference, more
):
    """A client that waits to be asked for its body never sends it."""
    async with run_server(max_upload_bytes=LIMIT) as (_, port), connect(port) as connection:
        await connection.send(f"{HEAD}Content-Length: {LIMIT + 1}\r\n{more}\r\n")
        status, headers, body = await connection.reply()
    assert (status, body["type"]) == (413, URN + "body-too-large")
    assert headers["connection"] == "close"
    assert str(LIMIT) in str(body["detail"])
    assert inference.questions == []


async def test_a_body_without_length_is_answered_before_it_has_ended(run_server, inference):
    chunk = b"%x\r\n" % 10_000 + bytes(10_000) + b"\r\n"
    async with run_server(max_upload_bytes=LIMIT) as (_, port), connect(port) as connection:
        await connection.send(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(LIMIT // 10_000 + 1):
            await connection.send(chunk)
        status, _, body = await connection.reply()
    assert (status, body["type"]) == (413, URN + "body-too-large")
    assert inference.questions == []


async def test_a_form_over_the_limit_is_answered_before_it_has_ended(run_server, inference):
    head = HEAD.replace("image/jpeg", "multipart/form-data; boundary=x")
    part = '--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    async with run_server(max_upload_bytes=LIMIT) as (_, port), connect(port) as connection:
        await connection.send(f"{head}Transfer-Encoding: chunked\r\n\r\n")
        await connection.send(b"%x\r\n" % len(part) + part.encode() + b"\r\n")
        for _ in range(20):
            await connection.send(b"%x\r\n" % 10_000 + bytes(10_000) + b"\r\n")
        status, _, body = await connection.reply()
    assert (status, body["type"]) == (413, URN + "body-too-large")
    assert inference.questions == []


async def test_a_client_that_sends_all_before_it_reads_still_gets_its_answer(run_server):
    async with run_server(max_upload_bytes=LIMIT) as (_, port), connect(port) as connection:
        await connection.send(f"{HEAD}Content-Length: {50 * LIMIT}\r\n\r\n")
        for _ in range(50):
            await connection.send(bytes(LIMIT))
        status, _, _ = await connection.reply()
    assert status == 413


async def test_a_form_whose_file_alone_is_over_the_limit_is_refused(make_client):
    client = make_client(max_upload_bytes=LIMIT)
    files = {"image": ("a.jpg", bytes(LIMIT + 1), "image/jpeg")}
    assert (await client.post("/align", files=files)).status_code == 413


async def test_an_upload_that_pauses_too_long_is_answered_408(run_server, inference):
    async with run_server(read_idle_timeout_s=0.1) as (_, port), connect(port) as connection:
        await connection.send(f"{HEAD}Content-Length: 1000\r\n\r\nabc")
        status, headers, body = await connection.reply()
    assert (status, body["type"]) == (408, URN + "body-too-slow")
    assert headers["connection"] == "close"
    assert "3 bytes came" in str(body["detail"])
    assert inference.questions == []


async def test_an_upload_that_trickles_is_answered_408_when_its_time_is_over(run_server):
    async with run_server(read_timeout_s=0.3) as (_, port), connect(port) as connection:
        await connection.send(f"{HEAD}Content-Length: 1000\r\n\r\n")
        reply = asyncio.create_task(connection.reply())
        while not reply.done():
            await connection.send(b"a")
            await asyncio.sleep(0.02)
        assert reply.result()[0] == 408


async def test_more_requests_than_fit_are_turned_away_and_told_when_to_return(
    make_client, inference, picture
):
    client = make_client(max_in_flight=2)
    inference.release = asyncio.Event()
    posts = [asyncio.create_task(client.post("/align", content=picture())) for _ in range(2)]
    await until(lambda: len(inference.questions) >= 2)
    refused = await client.post("/align", content=picture())
    assert (refused.status_code, refused.json()["type"]) == (503, URN + "overloaded")
    assert refused.headers["retry-after"] == "1"
    inference.release.set()
    assert [reply.status_code for reply in await asyncio.gather(*posts)] == [200, 200]
    assert (await client.post("/align", content=picture())).status_code == 200


async def test_clients_that_send_slowly_keep_nobody_from_being_answered(run_server, picture):
    async with contextlib.AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(run_server(max_in_flight=2, max_uploads=5))
        slow = [await stack.enter_async_context(connect(port)) for _ in range(4)]
        for connection in slow:
            await connection.send(f"{HEAD}Content-Length: 1000\r\n\r\na")
        http = await stack.enter_async_context(httpx.AsyncClient())
        url = f"http://127.0.0.1:{port}/align"
        for _ in range(3):
            assert (await http.post(url, content=picture())).status_code == 200
        fifth = await stack.enter_async_context(connect(port))
        await fifth.send(f"{HEAD}Content-Length: 1000\r\n\r\na")

        async def all_five_send() -> bool:
            return "countenance_uploads 5.0" in (await http.get(url[:-5] + "metrics")).text

        await until(all_five_send)
        refused = await http.post(url, content=picture())
        assert (refused.status_code, refused.json()["type"]) == (503, URN + "overloaded")


@pytest.fixture
def two_keys(tmp_path):
    """Return a keys file and the keys of two principals."""
    (one, first), (other, second) = new_key("alice"), new_key("bob")
    path = tmp_path / "keys.toml"
    path.write_text(first + second)
    return path, bearer(one), bearer(other)


async def test_one_principal_s_requests_take_no_more_than_its_share(
    make_client, inference, picture, two_keys
):
    path, alice, bob = two_keys
    client = make_client(api_keys_file=path, max_in_flight=4, max_share=0.5)
    inference.release = asyncio.Event()
    posts = [
        asyncio.create_task(client.post("/align", content=picture(), headers=alice))
        for _ in range(2)
    ]
    await until(lambda: len(inference.questions) >= 2)
    refused = await client.post("/align", content=picture(), headers=alice)
    assert (refused.status_code, refused.json()["type"]) == (503, URN + "overloaded")
    assert "your share of 4" in refused.json()["detail"]
    posts.append(asyncio.create_task(client.post("/align", content=picture(), headers=bob)))
    await until(lambda: len(inference.questions) >= 3)
    inference.release.set()
    assert [reply.status_code for reply in await asyncio.gather(*posts)] == [200] * 3
    owners = {question.load.owner for question in inference.questions}
    assert owners == {"alice", "bob"}


@pytest.mark.parametrize("path", ["align", "affect"])
async def test_one_principal_s_slow_uploads_lock_nobody_out(two_keys, picture, path):
    file, alice, bob = two_keys
    options = {"max_uploads": 4, "max_clips": 4, "max_share": 0.5}
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            serving(Everything(), api_keys_file=file, **options)
        )
        head = f"POST /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
        slow = [await stack.enter_async_context(connect(service.port)) for _ in range(4)]
        for connection in slow:
            await connection.send(f"{head}Authorization: {alice['Authorization']}\r\n\r\na")
        for connection in slow[2:]:
            assert (await connection.reply())[0] == 503
        posted = await service.http.post(f"/{path}", content=picture(), headers=bob)
        assert posted.status_code in (200, 415)


async def test_pixels_are_metered_by_key_and_told_when_to_return(make_client, keys, picture):
    path, first, second = keys
    limited = path.read_text().replace("requests_per_minute = 12", "pixels_per_minute = 6000000")
    path.write_text(limited)
    client = make_client(api_keys_file=path)
    data = picture(size=(2000, 1000))
    posts = [await client.post("/align", content=data, headers=bearer(second)) for _ in range(2)]
    assert [reply.status_code for reply in posts] == [200, 429]
    assert "6000000 pixels a minute" in posts[1].json()["detail"]
    assert int(posts[1].headers["retry-after"]) >= 1
    other = await client.post("/align", content=data, headers=bearer(first))
    assert other.status_code == 200


async def test_a_model_that_takes_too_long_is_answered_504(make_client, inference, picture):
    client = make_client(inference_timeout_s=0.05)
    inference.release = asyncio.Event()
    reply = await client.post("/align", content=picture())
    assert (reply.status_code, reply.json()["type"]) == (504, URN + "timeout")
    assert inference.cancelled


async def test_the_work_of_a_client_that_leaves_is_cancelled(run_server, inference, picture):
    inference.release = asyncio.Event()
    data = picture()
    async with run_server() as (_, port):
        async with connect(port) as connection:
            await connection.send(f"{HEAD}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            await asyncio.wait_for(inference.asked.wait(), MOST_S)
        await until(lambda: inference.cancelled)


async def test_a_stop_finishes_what_runs_and_then_closes_the_models(run_server, inference, picture):
    inference.release = asyncio.Event()
    async with run_server() as (server, port), httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}/align"
        posted = asyncio.create_task(client.post(url, content=picture()))
        await asyncio.wait_for(inference.asked.wait(), MOST_S)
        server.should_exit = True
        await until(lambda: not server.servers[0].is_serving())
        assert not inference.closed
        inference.release.set()
        assert (await posted).status_code == 200
    assert inference.closed


async def test_a_head_without_end_is_cut_off(run_server):
    async with run_server() as (_, port), connect(port) as connection:
        await connection.send(HEAD)
        async with asyncio.timeout(MOST_S):
            with contextlib.suppress(ConnectionError):
                for _ in range(1000):
                    await connection.send("X-Filler: " + "a" * 1000 + "\r\n")
                await connection.reader.read()
