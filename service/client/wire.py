"""The wire of the client: sockets, pictures and clips out, replies and problems in."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import httpx
from PIL import Image, ImageOps
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.affect.replies import AffectFrameLine, AffectReply, AffectSummaryLine
from service.clips.replies import ClipLine, ErrorLine
from service.errors import BY_SLUG, URN, Problem
from service.live.messages import DroppedReply, ErrorInfo, ErrorReply
from service.track.replies import TrackFrameLine, TrackReply, TrackSummaryLine

Reply = TypeVar("Reply")
Said = TypeVar("Said")
# What reads one line of a clip's answer.
Lines = Callable[[str], Said]
TrackAnswer = TrackReply | DroppedReply | ErrorReply
AffectAnswer = AffectReply | DroppedReply | ErrorReply
TrackLine = ClipLine | TrackFrameLine | TrackSummaryLine
AffectLine = ClipLine | AffectFrameLine | AffectSummaryLine
ClipFile = BinaryIO | bytes | str | PathLike[str]
# What Pillow writes as PNG as it is; other modes are converted.
PNG_MODES = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})
MOST_REPLY_BYTES = 2**24  # far above any reply; unbounded ones could fill the memory


class Array(Protocol):
    """A picture in memory: uint8 RGB `(H, W, 3)`, such as a NumPy array, or one of Pillow."""

    @property
    def __array_interface__(self) -> dict[str, object]: ...


Picture = BinaryIO | bytes | str | PathLike[str] | Array


def encoded(picture: Picture) -> bytes:
    """Return a picture as the bytes of an image file; raises OSError for an unreadable path."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | PathLike):
        return Path(picture).read_bytes()
    if not isinstance(picture, Image.Image) and hasattr(picture, "read"):
        return picture.read()
    data = io.BytesIO()
    image = _upright(picture) if isinstance(picture, Image.Image) else Image.fromarray(picture)
    # A third of the usual time for 8 % more bytes, measured on a portrait.
    image.save(data, "PNG", compress_level=1)
    return data.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    """Return a picture as people see it, in a mode that PNG has."""
    turned = ImageOps.exif_transpose(image)
    return turned if turned.mode in PNG_MODES else turned.convert("RGB")


@contextmanager
def opened(clip: ClipFile) -> Iterator[BinaryIO]:
    """Open a clip; raises OSError for a path that cannot be read."""
    if isinstance(clip, bytes):
        yield io.BytesIO(clip)
    elif isinstance(clip, str | PathLike):
        with open(clip, "rb") as file:
            yield file
    else:
        yield clip


class CallError(Exception):
    """Every error of a client; `str()` is one line for people."""


class UnreachableError(CallError):
    """There is no service of ours at the address, or it cannot be reached for too long."""


class ProblemError(CallError):
    """A refusal of the service, in its own words (RFC 9457).

    `type` is the stable name, such as `urn:countenance:problem:not-an-image`; `status` the HTTP
    status; `retry_after` the seconds after which the service wants to be asked again, if it said.
    """

    def __init__(
        self, type: str, title: str, status: int, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.retry_after = retry_after

    @property
    def problem(self) -> Problem | None:
        """The problem as this version of the client knows it, None for one that it does not."""
        return BY_SLUG.get(self.type.removeprefix(URN))


def problem_of(body: object, retry_after: str | None = None) -> ProblemError | None:
    """Return the problem that a decoded JSON body tells, None where it is none of ours."""
    if not isinstance(body, dict):
        return None
    try:
        return ProblemError(
            str(body["type"]),
            str(body["title"]),
            int(body["status"]),
            str(body["detail"]),
            float(retry_after) if retry_after is not None else None,
        )
    except (KeyError, ValueError):
        return None


def refusal(response: httpx.Response) -> CallError:
    """Return the error that a response tells which is no success."""
    found = problem_of(_json(response.content), response.headers.get("Retry-After"))
    return found or UnreachableError(
        f"{response.url} answered {response.status_code}, not as Countenance does"
    )


def handshake_refusal(error: InvalidStatus, url: str) -> CallError:
    """Return the error that the answer to a socket's opening tells."""
    response = error.response
    found = problem_of(_json(response.body), response.headers.get("Retry-After"))
    return found or UnreachableError(
        f"{url} answered {response.status_code}, not as Countenance does"
    )


def close_refusal(error: ConnectionClosed, told: ErrorInfo | None = None) -> ProblemError | None:
    """Return the problem that a socket was closed for; None where the connection just ended.

    `told` is what the service said last, which has the words that a close code has no room for.
    """
    slug = error.rcvd.reason if error.rcvd is not None else ""
    if (problem := BY_SLUG.get(slug)) is None:
        return None
    detail = told.detail if told is not None and told.type == problem.uri else ""
    return ProblemError(problem.uri, problem.title, problem.status, detail)


def _json(body: bytes | bytearray | None) -> Any:
    try:
        return json.loads(body or b"")
    except ValueError:
        return None


def reader(adapter: TypeAdapter[Reply]) -> Callable[[str], Reply | ErrorInfo]:
    """Return what reads the answer to a frame, or the error about another message."""

    def read(text: str) -> Reply | ErrorInfo:
        reply = adapter.validate_json(text)
        if isinstance(reply, ErrorReply) and reply.sequence is None:
            return reply.error
        return reply

    return read


def line_reader(adapter: TypeAdapter[Said | ErrorLine]) -> Lines[Said]:
    """Return what reads a line of a clip; it raises ProblemError for one that ends it early."""

    def read(text: str) -> Said:
        line = adapter.validate_json(text)
        if isinstance(line, ErrorLine):
            told = line.error
            raise ProblemError(told.type, told.title, told.status, told.detail)
        return line

    return read


read_track = reader(TypeAdapter[TrackAnswer](TrackAnswer))
read_affect = reader(TypeAdapter[AffectAnswer](AffectAnswer))
track_lines: Lines[TrackLine] = line_reader(TypeAdapter(TrackLine | ErrorLine))
affect_lines: Lines[AffectLine] = line_reader(TypeAdapter(AffectLine | ErrorLine))


async def open_socket(
    address: httpx.URL, headers: Mapping[str, str], file: str | None = None
) -> ClientConnection:
    """Open a socket at an address of http or https, by a socket file in place of host and port."""
    url = str(address.copy_with(scheme="wss" if address.scheme == "https" else "ws"))
    how: dict[str, Any] = {
        "additional_headers": headers,
        "compression": None,  # the frames are compressed already
        "max_size": MOST_REPLY_BYTES,
        "ping_interval": None,  # a reply that does not come tells more than a ping
    }
    return await (connect(url, **how) if file is None else unix_connect(file, url, **how))


def given(query: Mapping[str, object]) -> dict[str, Any]:
    """Return the parameters that are not None, for httpx to write into an address."""
    return {name: value for name, value in query.items() if value is not None}
