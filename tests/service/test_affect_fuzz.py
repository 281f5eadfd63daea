"""Whatever an affect socket is sent, every frame has its one reply and the session lives on."""

import asyncio
import random
import struct

import pytest

from tests.service.counting import frames, headed, receive, serving
from tests.service.feeling import AFFECT, CountingAffect

PICTURE = frames(1)[0][0]
TEXTS = ("", "{", "[]", '{"type": "reset"}', '{"type": "options"}', "x" * 5000, "\x00", "\ud7ff")


def any_message(chance: random.Random) -> bytes | str:
    """Return frames and sound, in time and out of it, whole, cut short and changed; and texts."""
    kind = chance.randrange(8)
    time_s = chance.choice((chance.uniform(-1, 20), chance.uniform(-1e12, 1e12), float("nan")))
    if kind == 0:
        return chance.choice(TEXTS)
    if kind == 1:
        return chance.randbytes(chance.randrange(30))
    if kind == 2:
        return b"F" + chance.randbytes(8) + PICTURE[: chance.randrange(len(PICTURE))]
    if kind == 3:
        return chance.choice((b"F", b"S")) + chance.randbytes(chance.randrange(9))
    if kind == 4:
        return headed(PICTURE, time_s)
    if kind == 5:
        return struct.pack("<cd", b"F", time_s)
    return struct.pack("<cd", b"S", time_s) + chance.randbytes(chance.randrange(20_000))


@pytest.mark.parametrize("drop", ["true", "false"])
@pytest.mark.parametrize("seed", range(3))
async def test_any_frames_are_answered_one_by_one(seed, drop):
    chance = random.Random(seed)
    messages = [any_message(chance) for _ in range(150)]
    count = sum(isinstance(message, bytes) and message[:1] == b"F" for message in messages)
    async with serving(CountingAffect(), max_frame_bytes=200_000) as service:
        service.model = AFFECT
        async with service.open(query=f"?drop={drop}") as socket:
            sending = asyncio.create_task(_send_all(socket, messages))
            numbers: list[int] = []
            while len(numbers) < count:
                if (number := (await receive(socket)).get("sequence")) is not None:
                    numbers.append(number)
            await sending
            await socket.send('{"type": "reset"}')
            replies = []
            for number in range(4):
                await socket.send(headed(PICTURE, number / 25))
                while (reply := await receive(socket))["type"] != "frame":
                    pass
                replies.append(reply)
    assert numbers == list(range(count))
    assert [reply["status"] for reply in replies] == ["reset", "ok", "ok", "ok"]
    assert [len(reply["attention"]) for reply in replies] == [1, 2, 3, 4]


async def _send_all(socket, messages):
    for message in messages:
        await socket.send(message)
