"""The routes of affect: a clip, a live session by its socket, and its steps without one."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from service.affect.clip import PHOTOGRAPH_TYPES, AffectClip, page_of, photograph_page
from service.affect.interface import (
    AFFECT_BODY,
    AFFECT_RESPONSES,
    CHUNK_OPENAPI,
    CHUNK_RESPONSES,
    FRAME_FIELD,
    SOUND_FIELD,
    AffectChunkQuery,
    AffectQuery,
)
from service.affect.replies import PhotographEstimates, PhotographFace, PhotographReply
from service.affect.session import (
    MODEL,
    AffectModel,
    AffectOptions,
    AffectSocketOptions,
    AffectSubject,
    MomentArrival,
)
from service.affect.sounds import Hearing, read_sound
from service.clips.replies import CSV, JSON, NDJSON, SVG
from service.clips.serving import answer_clip
from service.http.body import (
    MULTIPART,
    Bounds,
    Upload,
    essence,
    read_files,
    read_picture,
    while_connected,
)
from service.http.replies import choose_media_type, notes_header
from service.live.messages import Kind, check_time
from service.live.model import Cost, Model, parse_into
from service.live.serving import SessionName, add_session_routes, answer_step
from service.media.clips.contents import RATE_HZ, SAMPLE_BYTES, Sound
from service.media.formats import name_format
from service.media.images import check_pixels, notes_on, sniff
from service.schemas import AlignReply, Point
from service.services import Caller, Services, SharedServices
from service.sessions import Address
from service.settings import Settings

router = APIRouter(tags=["affect"])
ALIGN = "align"
Box = tuple[float, float, float, float]


@router.post(
    "/affect",
    summary="Estimate valence and arousal over a clip",
    response_model=None,
    responses=AFFECT_RESPONSES,
    openapi_extra=AFFECT_BODY,
)
async def affect(
    request: Request, query: Annotated[AffectQuery, Query()], services: SharedServices, _: Caller
) -> Response:
    """Send the clip as the body itself (`Content-Type: video/...` or `audio/...`) or as the
    multipart field `clip`: mp4, mov, webm, mkv, avi, mpg or ts with or without sound, or sound
    alone. A photograph comes as the body itself (`Content-Type: image/...`) or as the multipart
    field `image`, and is answered with every face in it, each by itself, as JSON, a line of JSON
    or a table. A body that is not declared is taken by what its bytes are.
    Times of the reply are the clip's own, in seconds; boxes are pixels of its upright pictures.

    `application/x-ndjson` gives a line as soon as it is known: the clip, its frames, a summary. A
    clip that turns out to be damaged is answered as far as it goes, and says so (`complete`). What
    ends the reply after its first line is its last line, of type `error`.
    """
    model = AffectModel(services)
    is_photograph = essence(request.headers.get("content-type", "")).startswith("image/")
    # Before the body: what can be answered in no way is not to be uploaded.
    offered = PHOTOGRAPH_TYPES if is_photograph else (JSON, NDJSON, CSV, SVG)
    media_type = choose_media_type(request.headers.get("accept"), offered)
    await model.check_loaded()
    clip = AffectClip(model, query, query.rate_hz)
    page = page_of(media_type, query.faces)

    def on_picture(upload: Upload) -> Awaitable[Response]:
        return answer_photograph(request, upload, query, services)

    return await answer_clip(request, services, clip, page, media_type, on_picture)


@router.post(
    "/affect/{session}",
    summary="Estimate one more moment of a session",
    response_model=None,
    responses=CHUNK_RESPONSES,
    openapi_extra=CHUNK_OPENAPI,
)
async def affect_chunk(
    request: Request,
    session: SessionName,
    query: Annotated[AffectChunkQuery, Query()],
    services: SharedServices,
    caller: Caller,
) -> Response:
    """Send a frame as the multipart field `frame` (or as the body itself) and what was heard since
    the last chunk as the field `sound`: 16-bit little-endian mono PCM at 22 050 Hz, 10 s at most.
    Sound alone is heard and answered without an estimate, unless `time_s` asks for one. Who sends a
    frame up to 1.5 s later, with the sound until then, says so by `delay_s`: the estimate is better
    for it. A session begins with its first chunk and is forgotten some minutes after its last. With
    `step`, a request can be repeated safely.

    Live video goes through a WebSocket at the same address. A binary message is a kind byte, then
    the time in seconds as little-endian float64, then `F`: an encoded picture, or nothing while the
    camera is off; `S`: PCM as above, whose first sample is at that time, up to 10 s of it. Every
    `F` gets one JSON reply, in order: `{"type": "frame", "sequence": 0, "status": "ok", ...}` with
    the fields of this reply; `status` is `dropped` where a newer frame came while it waited
    (`?drop=false` turns that off). What could not be used is answered `{"type": "error", "of":
    "frame", "sequence": 1, "error": ...}`, sound only then: it may be 2 s behind the
    newest frame or 2 s ahead of the stream. Times of frames increase; what is heard up to 1.5 s
    after a frame improves its estimate, and an estimate once given is never revised. With
    `?delay_s=1` a frame is estimated when frames or sound of 1 s later have come, or at the end of
    what is read: so do not wait for its reply. `{"type": "reset"}` starts anew, with new times.
    Options are those here, in the address or in a message `{"type": "options", ...}` before the
    first frame. Web pages send their key as the subprotocol `bearer.KEY` beside `countenance`.
    """
    address = Address(MODEL, caller.name, session)
    subject = AffectSubject(AffectModel(services), query)
    read = partial(_read_moment, request, query, services.settings)
    return await answer_step(request, services, address, subject, read, query.step)


async def _read_moment(
    request: Request, query: AffectChunkQuery, settings: Settings
) -> MomentArrival:
    """Return what came as one step; raises ServiceError."""
    arrived_s = time.perf_counter()
    frame, pcm = await _read_parts(request, settings)
    time_s = query.time_s
    if time_s is None and frame is not None:
        time_s = time.time() - query.delay_s
    if time_s is not None:
        check_time(time_s)
    runs: tuple[Sound, ...] = ()
    if pcm is not None:
        start_s = query.sound_time_s
        if start_s is None:
            ends_s = time.time() if time_s is None else time_s + query.delay_s
            start_s = max(0.0, ends_s - len(pcm) / SAMPLE_BYTES / RATE_HZ)
        runs = (read_sound(start_s, pcm),)
    data, declared = (b"", None) if frame is None else (frame.data, frame.media_type)
    return MomentArrival(
        None,
        arrived_s,
        time_s,
        data,
        kind=Kind.SOUND if time_s is None else Kind.FRAME,
        notes=notes_on(name_format(data), declared),
        hearing=Hearing(runs, None),
    )


async def _read_parts(request: Request, settings: Settings) -> tuple[Upload | None, bytes | None]:
    """Return the frame and the sound of the request, one of them at least."""
    bounds = Bounds.of_picture(settings)
    if essence(request.headers.get("content-type", "")) != MULTIPART:
        return await read_picture(request, bounds, FRAME_FIELD), None
    files = await read_files(request, bounds, (FRAME_FIELD, SOUND_FIELD))
    frame, sound = (files.get(name) for name in (FRAME_FIELD, SOUND_FIELD))
    return frame, (None if sound is None else sound.data)


def _make(services: Services, query: Mapping[str, str]) -> tuple[AffectModel, AffectSubject]:
    model = AffectModel(services)
    return model, AffectSubject(model, parse_into(AffectSocketOptions, query))


add_session_routes(router, MODEL, _make, "end_affect")


async def answer_photograph(
    request: Request, upload: Upload, options: AffectOptions, services: Services
) -> Response:
    """Answer a photograph; raises ServiceError."""
    media_type = choose_media_type(request.headers.get("accept"), PHOTOGRAPH_TYPES)
    reply = await estimate_photograph(request, upload.data, upload.media_type, options, services)
    services.metrics.observe_stages(MODEL, reply.timings_ms)
    headers = {"Vary": "Accept", **(notes_header(reply.notes) if media_type == CSV else {})}
    return Response(photograph_page(reply, media_type), headers=headers, media_type=media_type)


async def estimate_photograph(
    request: Request,
    data: bytes,
    media_type: str | None,
    options: AffectOptions,
    services: Services,
) -> PhotographReply:
    """Find the faces of a picture and estimate each by itself; raises ServiceError."""
    header = await asyncio.to_thread(sniff, data)
    check_pixels(header, services.settings.max_pixels)
    started = time.perf_counter()
    with services.in_flight.slot():
        found = await while_connected(request, _find(data, header.pixels, options, services))
        told = await while_connected(
            request, _estimate(data, header.pixels, found, options, services)
        )
    faces = [
        PhotographFace.model_construct(**dict(estimate), face=face)
        for face, estimate in zip(found.faces, told.faces, strict=True)
    ]
    declared = notes_on(header.format, media_type)
    total_ms = (time.perf_counter() - started) * 1000
    return PhotographReply.model_construct(
        model=told.model,
        variant=told.variant,
        image=found.image,
        # Both models tell of the same picture.
        notes=list(dict.fromkeys([*declared, *found.notes, *told.notes])),
        faces=faces,
        timings_ms={**found.timings_ms, **told.timings_ms, "total": total_ms},
    )


async def _find(data: bytes, pixels: int, options: AffectOptions, services: Services) -> AlignReply:
    settings = services.settings
    asked = {
        "max_faces": settings.max_faces,
        "min_face_px": options.min_face_px,
        "min_quality": options.min_quality,
        "max_pixels": settings.max_pixels,
    }
    cost = Cost.of_pictures([pixels], options.min_face_px)
    answer = await Model(ALIGN, services).ask({"image": data}, asked, cost=cost)
    return AlignReply.model_validate(answer.outputs)


async def _estimate(
    data: bytes, pixels: int, found: AlignReply, options: AffectOptions, services: Services
) -> PhotographEstimates:
    model = AffectModel(services)
    boxes = [list(landmarks_box(face.landmarks)) for face in found.faces]
    landmarks = [[list(point) for point in face.landmarks] for face in found.faces]
    asked = {**model.options(options), "max_pixels": services.settings.max_pixels}
    cost = Cost.of_pictures([pixels], options.min_face_px, len(boxes))
    # Words are estimated from facial actions too, which `align` has told already.
    actions = [face.actions for face in found.faces]
    inputs = {"frames": [data], "boxes": boxes, "landmarks": landmarks, "actions": actions}
    answer = await model.ask(inputs, asked, cost=cost)
    return PhotographEstimates.model_validate(answer.outputs)


def landmarks_box(landmarks: Sequence[Point]) -> Box:
    """Return the corners x1, y1, x2, y2 around landmarks."""
    across, down = zip(*landmarks, strict=True)
    return min(across), min(down), max(across), max(down)
