"""The description of the sockets is true: what they send fits it, and it lists nothing else."""

import asyncio
import re
from typing import Any

import jsonschema_rs
import yaml
from fastapi.routing import APIWebSocketRoute
from websockets.asyncio.client import connect

from service.app import create_app
from service.errors import Problem
from service.media.formats import READ_HERE
from service.settings import Settings
from tests.service.counting import CountingTracker, Service, frames, headed, receive, serving
from tests.service.feeling import CountingAffect
from tests.sockets_described import FILE, schemas

FOUND: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
IMAGES = [image for image, _ in frames(4)]


def replies_of(channel: str) -> set[str]:
    """The names of the messages that the service sends in a channel."""
    (operation,) = [
        found
        for found in FOUND["operations"].values()
        if found["channel"]["$ref"] == f"#/channels/{channel}"
    ]
    return {message["$ref"].rsplit("/", 1)[1] for message in operation["reply"]["messages"]}


def fitting(channel: str, reply: dict[str, Any]) -> set[str]:
    """The messages of a channel whose schema a reply fits."""
    messages = FOUND["channels"][channel]["messages"]
    return {
        name
        for name in replies_of(channel)
        if jsonschema_rs.Draft7Validator(
            {"allOf": [messages[name]["payload"]], "components": FOUND["components"]}
        ).is_valid(reply)
    }


def test_the_bodies_are_those_of_the_code() -> None:
    assert FOUND["components"]["schemas"] == schemas(), "`python -m tests.sockets_described`"


def test_the_formats_of_a_frame_are_those_that_are_read() -> None:
    told = FOUND["channels"]["track"]["messages"]["frame"]["summary"]
    assert {name for name in READ_HERE if name in told.upper()} == set(READ_HERE)


def test_all_references_lead_somewhere() -> None:
    for reference in re.findall(r"\$ref: '#/([^']+)'", FILE.read_text(encoding="utf-8")):
        place: Any = FOUND
        for step in reference.split("/"):
            place = place[step]


def test_the_channels_are_the_sockets_of_the_application() -> None:
    app = create_app(Settings(), CountingTracker())
    assert {channel["address"] for channel in FOUND["channels"].values()} == socket_paths(app)


def socket_paths(router: Any) -> set[str]:
    """The addresses of all sockets, those of routers within routers too."""
    found = set()
    for route in router.routes:
        if isinstance(route, APIWebSocketRoute):
            found.add(route.path)
        elif (inner := getattr(route, "original_router", None)) is not None:
            found |= socket_paths(inner)
    return found


def test_the_closing_codes_are_those_of_problems() -> None:
    told = FOUND["info"]["description"]
    assert {int(code) for code in re.findall(r"\b4\d\d\d|\b10\d\d", told)} <= {
        problem.close_code for problem in Problem
    }


async def test_the_service_hands_its_description_out() -> None:
    async with serving(CountingTracker()) as service:
        response = await service.http.get("/asyncapi.yaml")
    assert response.headers["content-type"].startswith("application/yaml")
    assert response.text == FILE.read_text(encoding="utf-8")


async def exchange(
    service: Service, path: str, odd: bytes | str, release: asyncio.Event
) -> list[dict[str, Any]]:
    """Talk so that every kind of reply is due; return the replies."""
    address = f"ws://127.0.0.1:{service.port}{path}"
    async with connect(address, proxy=None) as socket:
        await socket.send('{"type": "options", "confirm": true}')
        await socket.send(odd)
        replies = [await receive(socket), await receive(socket)]
        for number, image in enumerate(IMAGES):
            await socket.send(headed(image, float(number)))
            await service.read(frames=number + 1)
            await service.models.asked.wait()  # the first one begins, the others wait
        release.set()
        replies += [await receive(socket) for _ in IMAGES]
        await socket.send(headed(b"no picture", 9.0))
        return [*replies, await receive(socket)]


async def test_tracking_sends_what_is_described_and_all_of_it() -> None:
    tracker = CountingTracker()
    tracker.gate = asyncio.Event()
    async with serving(tracker) as service:
        replies = await exchange(service, "/track/s", "nonsense", tracker.gate)
    assert seen("track", replies) == replies_of("track")


async def test_affect_sends_what_is_described_and_all_of_it() -> None:
    model = CountingAffect()
    model.release = asyncio.Event()
    odd_sound = b"S" + bytes(8) + b"odd"
    async with serving(model) as service:
        replies = await exchange(service, "/affect/s", odd_sound, model.release)
    assert seen("affect", replies) == replies_of("affect")


def seen(channel: str, replies: list[dict[str, Any]]) -> set[str]:
    """Which of the described messages came; each reply has to fit one of them."""
    found = set()
    for reply in replies:
        fits = fitting(channel, reply)
        assert len(fits) == 1, (reply, fits)
        found |= fits
    return found


def test_a_reply_that_is_not_described_is_noticed() -> None:
    assert fitting("track", {"status": "tracking"}) == set()
