"""POST /affect: a clip, or sound alone, into its valence and arousal over time."""

import errno
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
)
from typing import Annotated, BinaryIO, TypeVar

from fastapi import APIRouter, Query, Request, Response

from service.affect.clip import ClipRun
from service.affect.interface import AFFECT_RESPONSES, CLIP_BODY, CLIP_FIELD, AffectQuery
from service.affect.model import MODEL, AffectModel, measure_frames
from service.affect.pages import CSV, JSON, NDJSON, PAGES, SVG, Page
from service.affect.summary import Summarizer
from service.errors import Problem, ServiceError
from service.http.body import MULTIPART, UNDECLARED, Bounds, bounded, essence, open_form
from service.http.negotiation import choose_media_type
from service.http.streaming import PiecewiseResponse
from service.media.clips.contents import Sampling
from service.media.clips.process import clip_limits, open_clip, spool
from service.services import Caller, Services, SharedServices
from service.settings import Settings

# A drawing has styles and pictures of its own, and may load nothing else.
DRAWING_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Item = TypeVar("Item")

router = APIRouter(tags=["affect"])


@router.post(
    "/affect",
    summary="Estimate valence and arousal over a clip",
    response_model=None,
    responses=AFFECT_RESPONSES,
    openapi_extra=CLIP_BODY,
)
async def affect(
    request: Request, query: Annotated[AffectQuery, Query()], services: SharedServices, _: Caller
) -> Response:
    """Send the clip as the body itself (`Content-Type: video/...` or `audio/...`) or as the
    multipart field `clip`: mp4, mov, webm, mkv, avi or mpg with or without sound, or sound alone.
    Times of the reply are the clip's own, in seconds; boxes are pixels of its upright pictures.

    `application/x-ndjson` gives a line as soon as it is known: the clip, its frames, a summary. A
    clip that turns out to be damaged is answered as far as it goes, and says so (`complete`). What
    ends the reply after its first line is its last line, of type `error`.
    """
    media_type = choose_media_type(request.headers.get("accept"), (JSON, NDJSON, CSV, SVG))
    model = AffectModel(services.inference, services.settings)
    await model.check_loaded()
    page = PAGES[media_type]()
    async with AsyncExitStack() as stack:
        stack.enter_context(services.clips.slot())
        file = await stack.enter_async_context(_receive(request, services.settings))
        pieces = _work(file, query, model, page, services)
        send_s = services.settings.socket_send_s
        return PiecewiseResponse(pieces, page.fail, stack.pop_all(), send_s, _headers(media_type))


async def _work(
    file: BinaryIO, query: AffectQuery, model: AffectModel, page: Page, services: Services
) -> AsyncGenerator[bytes, None]:
    """Yield the reply, piece by piece; raises ServiceError."""
    started = time.perf_counter()
    limits, sampling = clip_limits(services.settings), Sampling(rate_hz=query.rate_hz)
    summarizer, begun = Summarizer(query.rate_hz), False
    async with open_clip(file, limits, sampling) as clip:
        run = ClipRun(clip, model, query, query.rate_hz)
        opened_ms = (time.perf_counter() - started) * 1000
        async with aclosing(run.looks()) as chunks:
            async for looks in chunks:
                written = b"" if begun else page.begin(run.head, run.clip)
                begun = True
                for look in looks:
                    summarizer.add(look.frame)
                    written += page.add(look)
                measure_frames([look.frame for look in looks], services.metrics)
                if written:
                    yield written
        tail = run.tail
        tail.timings_ms["open"] = opened_ms
        tail.timings_ms["total"] = (time.perf_counter() - started) * 1000
        services.metrics.observe_stages(MODEL, {"clip": tail.timings_ms["total"]})
        if not begun:
            yield page.begin(run.head, run.clip)
        yield page.finish(run.clip, summarizer.summary(), tail)


@asynccontextmanager
async def _receive(request: Request, settings: Settings) -> AsyncIterator[BinaryIO]:
    """Read the clip of a request into a temporary file, within the limits; raises ServiceError."""
    bounds = Bounds(
        "a clip",
        settings.max_clip_bytes,
        settings.clip_read_timeout_s,
        settings.read_idle_timeout_s,
    )
    declared = essence(request.headers.get("content-type", ""))
    if declared == MULTIPART:
        form = open_form(request, bounds, (CLIP_FIELD,), in_memory=False)
        async with _room_for(form) as files:
            yield files[CLIP_FIELD].file
        return
    if declared not in UNDECLARED and not declared.startswith(("video/", "audio/")):
        raise ServiceError(
            Problem.UNSUPPORTED_MEDIA_TYPE,
            f"the body is declared as {declared!r}; send a clip as video/mp4, video/webm, "
            f"audio/wav or the like, or as the field `{CLIP_FIELD}` of {MULTIPART}",
        )
    async with _room_for(spool(bounded(request, bounds))) as file:
        yield file


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
