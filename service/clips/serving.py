"""The route of a clip, whatever is asked of it: received, looked at, answered piece by piece."""

import errno
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
)
from dataclasses import dataclass
from os import SEEK_END
from typing import BinaryIO, Generic, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from service.clips.replies import CSV, SVG, Moment, Page
from service.clips.run import Ask, ClipRun, ahead
from service.errors import Problem, ServiceError
from service.http.body import (
    FIELD,
    MULTIPART,
    UNDECLARED,
    Bounds,
    Upload,
    bounded,
    essence,
    open_form,
    read_part,
)
from service.http.openapi import MODEL, WITH_KEY, file_body, one_file
from service.http.replies import PiecewiseResponse, notes_header
from service.media.clips.contents import Sampling
from service.media.clips.process import clip_limits, open_clip, spool
from service.media.formats import PICTURES, SNIFFED_BYTES, name_format
from service.services import Services
from service.settings import Settings

CLIP_FIELD = "clip"
# A drawing has styles and pictures of its own, and may load nothing else.
DRAWING_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Item = TypeVar("Item")
OnPicture = Callable[[Upload], Awaitable[Response]]
CLIP_BODY = file_body("The clip, as a form's file or as the body itself.", one_file(CLIP_FIELD))
CLIP_PROBLEMS = (
    Problem.NOT_ACCEPTABLE,
    Problem.BODY_TOO_SLOW,
    Problem.BODY_TOO_LARGE,
    Problem.NOT_A_CLIP,
    Problem.UNSUPPORTED_CLIP,
    Problem.UNSUPPORTED_MEDIA_TYPE,
    Problem.EMPTY_BODY,
    Problem.INVALID_MULTIPART,
    Problem.INVALID_CLIP,
    Problem.EMPTY_CLIP,
    Problem.CLIP_TOO_LONG,
    Problem.CLIP_TOO_COSTLY,
    Problem.TOO_MANY_STREAMS,
    Problem.TOO_MANY_PIXELS,
    Problem.INVALID_REQUEST,
    *MODEL,
    *WITH_KEY,
)


@dataclass(frozen=True)
class ClipJob(Generic[Moment]):
    """The work on a clip: how it is read and asked about, what becomes of the answers.

    `note` is told of the frames of each chunk, `summarize` asked once after the last, and `heard`
    whether a voice was used.
    """

    model: str
    sampling: Sampling
    rate_hz: float | None
    ask: Ask[Moment]
    note: Callable[[Sequence[Moment]], None]
    summarize: Callable[[], BaseModel]
    heard: Callable[[], bool] = lambda: False


async def answer_clip(
    request: Request,
    services: Services,
    job: ClipJob[Moment],
    page: Page,
    media_type: str,
    on_picture: OnPicture | None = None,
) -> Response:
    """Receive the clip of a request and answer it as it is looked at; raises ServiceError.

    With `on_picture` there may be a picture in its place, which that answers.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(services.clips.slot())
        fields = (CLIP_FIELD,) if on_picture is None else (CLIP_FIELD, FIELD)
        file = await stack.enter_async_context(_receive(request, services.settings, fields))
        if isinstance(file, Upload):
            assert on_picture is not None
            return await on_picture(file)
        headers = _headers(media_type)
        pieces = _work(file, job, page, services, headers)
        send_s = services.settings.socket_send_s
        return PiecewiseResponse(pieces, page.fail, stack.pop_all(), send_s, headers)


async def _work(
    file: BinaryIO,
    job: ClipJob[Moment],
    page: Page,
    services: Services,
    headers: dict[str, str],
) -> AsyncGenerator[bytes, None]:
    """Yield the reply, piece by piece; raises ServiceError. Notes for which a page has no place are
    added to the headers before its first piece.
    """
    started, begun = time.perf_counter(), False
    async with open_clip(file, clip_limits(services.settings), job.sampling) as clip:
        run = ClipRun(clip, job.ask, job.rate_hz, job.heard)
        opened_ms = (time.perf_counter() - started) * 1000
        # The models look at the next chunk while this one is written and sent.
        async with aclosing(run.looks()) as found, aclosing(ahead(found)) as chunks:
            async for looks in chunks:
                written = b"" if begun else page.begin(run.head, run.clip)
                begun = True
                job.note([look.frame for look in looks])
                written += b"".join([page.add(look) for look in looks])
                if written:
                    yield written
        tail = run.tail
        tail.timings_ms["open"] = opened_ms
        tail.timings_ms["total"] = (time.perf_counter() - started) * 1000
        services.metrics.observe_stages(job.model, {"clip": tail.timings_ms["total"]})
        if headers["Content-Type"] in (CSV, SVG):
            headers |= notes_header(tail.notes)
        if not begun:
            yield page.begin(run.head, run.clip)
        yield page.finish(run.clip, job.summarize(), tail)


@asynccontextmanager
async def _receive(
    request: Request, settings: Settings, fields: Sequence[str]
) -> AsyncIterator[BinaryIO | Upload]:
    """Read the clip of a request into a temporary file, within the limits; raises ServiceError.

    `fields` are those of a form that may hold it, or a picture.
    """
    bounds = Bounds(
        "a clip",
        settings.max_clip_bytes,
        settings.clip_read_timeout_s,
        settings.read_idle_timeout_s,
    )
    declared = essence(request.headers.get("content-type", ""))
    if declared == MULTIPART:
        form = open_form(request, bounds, fields, in_memory=False)
        async with _room_for(form) as files:
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
    async with _room_for(spool(bounded(request, bounds))) as file:
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


@asynccontextmanager
async def _room_for(reading: AbstractAsyncContextManager[Item]) -> AsyncIterator[Item]:
    """Read into files; raises ServiceError where the disk has no room for them."""
    async with AsyncExitStack() as stack:
        try:
            read = await stack.enter_async_context(reading)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise ServiceError(
                Problem.OVERLOADED,
                "there is no room for the clip just now",
                headers={"Retry-After": "10", "Connection": "close"},
            ) from error
        yield read


def _headers(media_type: str) -> dict[str, str]:
    drawing = {"Content-Security-Policy": DRAWING_POLICY} if media_type == SVG else {}
    return {"Content-Type": media_type, "Vary": "Accept", **drawing}
