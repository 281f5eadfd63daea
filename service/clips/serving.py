"""The route of a clip: received, looked at chunk by chunk while it is read, answered in pieces."""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from os import SEEK_END
from typing import Any, BinaryIO, ClassVar, Generic

from fastapi import Request, Response
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from service.clips.replies import (
    CSV,
    SVG,
    ClipHead,
    ClipInfoBody,
    ClipTail,
    FrameAnswer,
    Moment,
    Page,
    describe_clip,
)
from service.errors import Problem, ServiceError
from service.http.body import (
    CLIP_FIELD,
    FIELD,
    MULTIPART,
    UNDECLARED,
    Bounds,
    Upload,
    bounded,
    essence,
    open_form,
    read_part,
    read_picture,
)
from service.http.replies import PiecewiseResponse, notes_header
from service.live.messages import RESET
from service.media.clips.contents import ClipChunk, Sampling
from service.media.clips.process import Clip, Item, clip_limits, open_clip, room_for, spool
from service.media.formats import PICTURES, SNIFFED_BYTES, name_format
from service.schemas import ModelVersion
from service.services import Services
from service.settings import Settings

# A drawing has styles and pictures of its own, and may load nothing else.
DRAWING_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
OnPicture = Callable[[Upload], Awaitable[Response]]


@dataclass(frozen=True)
class ChunkAnswer(Generic[Moment]):
    """The answer to a chunk: the model's words on each frame, and on itself."""

    frames: Sequence[Moment]
    state: bytes | None
    model: ModelVersion
    variant: str
    status: str
    notes: Sequence[str] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)


class ClipWork(ABC, Generic[Moment]):
    """The work of one model on one clip: how it is read and asked about, what comes of the answers.

    `rate_hz` is the most frames a second, None for all.
    """

    model: ClassVar[str]
    most_side = 640  # larger pictures are shrunk to this; coordinates are the clip's all the same

    def __init__(self, rate_hz: float | None) -> None:
        self.rate_hz = rate_hz

    @property
    def sampling(self) -> Sampling:
        """The reading of the clip."""
        return Sampling(math.inf if self.rate_hz is None else self.rate_hz, self.most_side)

    @property
    def is_heard(self) -> bool:
        """Whether a voice was used: only then is told how far it is to be trusted."""
        return False

    @abstractmethod
    async def ask(self, chunk: ClipChunk, state: bytes | None) -> ChunkAnswer[Moment]:
        """Ask about a chunk with the state before it; raises ServiceError."""

    @abstractmethod
    def note(self, moments: Sequence[Moment]) -> None:
        """Count what the frames of a chunk say."""

    @abstractmethod
    def summarize(self) -> BaseModel:
        """Return what was counted; to be asked for once, after the last chunk."""


class ClipRun(Generic[Moment]):
    """One clip, looked at once; what is known of it as a whole grows meanwhile."""

    def __init__(self, clip: Clip, work: ClipWork[Moment]) -> None:
        self._clip = clip
        self._work = work
        self._state: bytes | None = None
        self._first: ChunkAnswer[Moment] | None = None
        self._notes: dict[str, None] = {}
        self._timings_ms: dict[str, float] = defaultdict(float)
        self._reset = False

    async def answers(self) -> AsyncGenerator[list[FrameAnswer[Moment]], None]:
        """Yield the frames of one chunk after the other; raises ServiceError."""
        started = time.perf_counter()
        async with aclosing(ahead(aiter(self._clip))) as chunks:
            async for chunk in chunks:
                self._timings_ms["read"] += ms_since(started)
                yield await self._look(chunk)
                started = time.perf_counter()

    @property
    def head(self) -> ClipHead:
        """The model that answers; known with the first chunk."""
        if (first := self._first) is None:
            raise ServiceError(Problem.EMPTY_CLIP, "nothing in it could be looked at")
        return ClipHead(model=first.model, variant=first.variant, rate_hz=self._work.rate_hz)

    @property
    def tail(self) -> ClipTail:
        """The part of the reply that is known at the end."""
        status: Any = RESET if self._reset else "ok"
        totals = self._clip.totals
        notes = [*self._notes, *(totals.notes if totals else ())]
        notes += totals.voice_notes if totals and self._work.is_heard else ()
        return ClipTail(status=status, notes=notes, timings_ms=dict(self._timings_ms))

    @property
    def clip(self) -> ClipInfoBody:
        """The clip as far as it is known now."""
        return describe_clip(self._clip.info, self._clip.totals)

    async def _look(self, chunk: ClipChunk) -> list[FrameAnswer[Moment]]:
        started = time.perf_counter()
        asked = await self._work.ask(chunk, self._state)
        self._state = asked.state
        self._note(asked, ms_since(started))
        pictures = (frame.picture for frame in chunk.frames)
        return [FrameAnswer(*pair) for pair in zip(asked.frames, pictures, strict=True)]

    def _note(self, asked: ChunkAnswer[Moment], asked_ms: float) -> None:
        if self._first is None:
            self._first = asked
        else:
            self._reset = self._reset or asked.status == RESET
        self._notes |= dict.fromkeys(asked.notes)
        for stage, milliseconds in (*asked.timings_ms.items(), ("ask", asked_ms)):
            self._timings_ms[stage] += milliseconds


async def ahead(items: AsyncIterator[Item]) -> AsyncGenerator[Item, None]:
    """Pass items on, asking for the next one while the last one is worked with."""
    reading = asyncio.ensure_future(anext(items, None))
    try:
        while (item := await reading) is not None:
            reading = asyncio.ensure_future(anext(items, None))
            yield item
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await reading


def ms_since(started: float) -> float:
    """Return milliseconds since a time of `time.perf_counter`."""
    return (time.perf_counter() - started) * 1000


async def answer_clip(
    request: Request,
    services: Services,
    work: ClipWork[Moment],
    page: Page,
    media_type: str,
    on_picture: OnPicture | None = None,
) -> Response:
    """Receive the clip of a request and answer it as it is looked at; raises ServiceError.

    With `on_picture` there may be a picture in its place, which that answers.
    """
    declared = essence(request.headers.get("content-type", ""))
    # A declared photograph takes none of the places for clips, which are few.
    if on_picture is not None and declared.startswith("image/"):
        with services.uploads.slot():
            picture = await read_picture(request, Bounds.of_picture(services.settings), FIELD)
        return await on_picture(picture)
    async with AsyncExitStack() as stack:
        stack.enter_context(services.clips.slot())
        fields = (CLIP_FIELD,) if on_picture is None else (CLIP_FIELD, FIELD)
        file = await stack.enter_async_context(
            _receive(request, declared, services.settings, fields)
        )
        if isinstance(file, Upload):
            assert on_picture is not None
            return await on_picture(file)
        headers = _headers(media_type)
        pieces = _answer(file, work, page, services, headers)
        send_s = services.settings.socket_send_s
        return PiecewiseResponse(pieces, page.fail, stack.pop_all(), send_s, headers)


async def _answer(
    file: BinaryIO,
    work: ClipWork[Moment],
    page: Page,
    services: Services,
    headers: dict[str, str],
) -> AsyncGenerator[bytes, None]:
    """Yield the reply, piece by piece; raises ServiceError. Notes for which a page has no place are
    added to the headers before its first piece.
    """
    started, begun = time.perf_counter(), False
    async with open_clip(file, clip_limits(services.settings), work.sampling) as clip:
        run = ClipRun(clip, work)
        opened_ms = (time.perf_counter() - started) * 1000
        # The models look at the next chunk while this one is written and sent.
        async with aclosing(run.answers()) as found, aclosing(ahead(found)) as chunks:
            async for answers in chunks:
                written = b"" if begun else page.begin(run.head, run.clip)
                begun = True
                work.note([answer.frame for answer in answers])
                written += b"".join([page.add(answer) for answer in answers])
                # Nothing is sent before there is something: until then an error has its own status.
                if written:
                    yield written
        tail = run.tail
        tail.timings_ms["open"] = opened_ms
        tail.timings_ms["total"] = (time.perf_counter() - started) * 1000
        services.metrics.observe_stages(work.model, {"clip": tail.timings_ms["total"]})
        if headers["Content-Type"] in (CSV, SVG):
            headers |= notes_header(tail.notes)
        if not begun:
            yield page.begin(run.head, run.clip)
        yield page.finish(run.clip, work.summarize(), tail)


@asynccontextmanager
async def _receive(
    request: Request, declared: str, settings: Settings, fields: Sequence[str]
) -> AsyncIterator[BinaryIO | Upload]:
    """Read a clip, `declared` as what it is, into a temporary file; raises ServiceError.

    `fields` are those of a form that may hold it, or a picture.
    """
    bounds = Bounds.of_clip(settings)
    if declared == MULTIPART:
        form = open_form(request, bounds, fields, in_memory=False)
        async with room_for(form) as files:
            if len(files) > 1:
                detail = f"send a clip as `{CLIP_FIELD}` or a picture as `{FIELD}`, not both"
                raise ServiceError(Problem.INVALID_MULTIPART, detail)
            if FIELD in files:
                yield await read_part(files[FIELD], Bounds.of_picture(settings))
            else:
                yield files[CLIP_FIELD].file
        return
    if declared not in UNDECLARED and not declared.startswith(("video/", "audio/")):
        picture = f"; a picture as image/jpeg, or as the field `{FIELD}`" if FIELD in fields else ""
        raise ServiceError(
            Problem.UNSUPPORTED_MEDIA_TYPE,
            f"the body is declared as {declared!r}; send a clip as video/mp4, video/webm, "
            f"audio/wav or the like, or as the field `{CLIP_FIELD}` of {MULTIPART}{picture}",
        )
    async with room_for(spool(bounded(request, bounds))) as file:
        if FIELD in fields and declared in UNDECLARED and _is_picture(file):
            yield await read_part(UploadFile(file, size=_size(file)), Bounds.of_picture(settings))
        else:
            yield file


def _is_picture(file: BinaryIO) -> bool:
    """Tell whether a spooled body is a picture, by its first bytes."""
    file.seek(0)
    begin = file.read(SNIFFED_BYTES)
    return name_format(begin) in PICTURES


def _size(file: BinaryIO) -> int:
    size = file.seek(0, SEEK_END)
    file.seek(0)
    return size


def _headers(media_type: str) -> dict[str, str]:
    drawing = {"Content-Security-Policy": DRAWING_POLICY} if media_type == SVG else {}
    return {"Content-Type": media_type, "Vary": "Accept", **drawing}
