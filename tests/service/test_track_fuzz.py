"""Whatever a socket is sent, every binary message has its one reply and the session lives on."""

import asyncio
import json
import random
import struct

import pytest

from tests.service.counting import CountingTracker, expected_boxes, frames, headed, receive, serving
from tests.waiting import settle

CLIP = frames(4)
PICTURE = CLIP[0][0]
TEXTS = ("", "{", "[]", '{"type": "reset"}', '{"type": "options"}', "x" * 5000, "\x00", "\ud7ff")


def any_message(chance: random.Random) -> bytes | str:
    """Return a message: whole, cut short, changed, empty, large, or a text."""
    kind = chance.randrange(8)
    if kind == 0:
        return chance.choice(TEXTS)
    if kind == 1:
        return chance.randbytes(chance.randrange(30))
    if kind == 2:
        return PICTURE[: chance.randrange(len(PICTURE))]
    if kind == 3:
        return b"F" + chance.randbytes(8) + PICTURE
    if kind == 4:
        return b"FS"[chance.randrange(2) :][:1] + chance.randbytes(chance.randrange(9))
    if kind == 5:
        changed = bytearray(PICTURE)
        changed[chance.randrange(len(changed))] = chance.randrange(256)
        return bytes(changed)
    if kind == 6:
        return PICTURE + bytes(chance.randrange(300_000))
    return headed(PICTURE, chance.uniform(-9, 9))


@pytest.mark.parametrize("drop", ["true", "false"])
@pytest.mark.parametrize("seed", range(3))
async def test_any_messages_are_answered_one_by_one(seed, drop):
    chance = random.Random(seed)
    messages = [any_message(chance) for _ in range(120)]
    binary = [message for message in messages if isinstance(message, bytes)]
    async with serving(CountingTracker(), max_frame_bytes=200_000) as service:
        async with service.open(query=f"?drop={drop}") as socket:
            sending = asyncio.create_task(_send_all(socket, messages))
            numbers: list[int] = []
            while len(numbers) < len(binary):
                if (reply := await receive(socket))["sequence"] is not None:
                    numbers.append(reply["sequence"])
            await sending
            await socket.send('{"type": "reset"}')
            for frame in CLIP:
                await socket.send(headed(*frame))
                reply = await receive(socket)
                while reply["sequence"] is None:
                    reply = await receive(socket)
        assert numbers == list(range(len(binary)))
        assert reply["faces"][0]["box"] == expected_boxes(CLIP)[-1]


async def _send_all(socket, messages):
    for message in messages:
        await socket.send(message)


RAW = {
    "an unmasked frame": b"\x82\x01a",
    "a reserved opcode": b"\x83\x81\0\0\0\0a",
    "a continuation of nothing": b"\x80\x81\0\0\0\0a",
    "a length beyond all": b"\x82\xff" + struct.pack(">Q", 2**62) + bytes(4),
    "a ping that is too long": b"\x89\xfe\x01\x00" + bytes(4 + 256),
    "a close with a wrong code": b"\x88\x82\0\0\0\0\x00\x01",
    "half of a frame": b"\x82\xfe\x10\x00\0\0\0\0abc",
    "nothing at all": b"",
}


@pytest.mark.parametrize("name", RAW)
async def test_a_broken_protocol_ends_its_connection_and_nothing_else(name):
    async with serving(CountingTracker()) as service:
        async with service.open() as socket:
            await socket.send(headed(*CLIP[0]))
            first = await receive(socket)
            socket.transport.write(RAW[name])
            await settle()
            socket.transport.abort()
        async with service.open() as socket:
            await socket.send(headed(*CLIP[1]))
            second = await receive(socket)
        boxes = [reply["faces"][0]["box"] for reply in (first, second)]
        assert boxes == expected_boxes(CLIP[:2])
        assert json.loads((await service.http.get("/sessions/s")).text)["streams"][0]["step"] == 2
