"""The routes of tracking: a clip, a live session by its socket, and its steps without one."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from service.align.interface import TRACKED_FACE
from service.clips.replies import CSV, JSON, NDJSON, CsvPage, JsonPage, LinesPage, Page
from service.clips.serving import answer_clip
from service.http.body import read_upload
from service.http.openapi import CLIP_BODY, PICTURE, PICTURE_BODY, clip_responses, problem_responses
from service.http.replies import choose_media_type
from service.live.messages import Arrival, check_time
from service.live.model import parse_into
from service.live.serving import STEP, SessionName, StepNumber, add_session_routes, answer_step
from service.media.formats import name_format
from service.media.images import notes_on
from service.options import TRACK_RATE_HZ
from service.schemas import Finite
from service.services import Caller, Services, SharedServices
from service.sessions import Address
from service.settings import Settings
from service.track.clip import TRACK_COLUMNS, TrackClip, track_rows
from service.track.replies import TrackClipReply, TrackFrameLine, TrackReply, TrackSummaryLine
from service.track.session import MODEL, SocketOptions, Tracker, TrackOptions, TrackSubject

PATH = "/track/camera-1"
TRACK_REPLY: dict[str, Any] = {
    "type": "frame",
    "model": {"name": "track", "version": "0.1.0", "sha256": "5d7a" + 60 * "0"},
    "image": {"width": 640, "height": 480},
    "variant": "dcrt",
    "steady": True,
    "smoothing": False,
    "status": "tracking",
    "faces": [TRACKED_FACE],
    "notes": [],
    "timings_ms": {"decode": 3.1, "track": 9.8, "align": 8.4},
    "sequence": None,
    "time_s": 1.28,
    "step": 33,
    "stored": True,
}
TRACK_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The faces of the frame.",
        "model": TrackReply,
        "content": {"application/json": {"example": TRACK_REPLY}},
    },
    **problem_responses(PATH, (*PICTURE, *STEP)),
}
CLIP = {
    **{"format": "mp4", "duration_s": 10.0, "width": 640, "height": 480, "rotation_deg": 0},
    **{"decoded_frames": 250, "expected_frames": 250, "used_frames": 250},
    **{"sound": None, "complete": True},
}
SUMMARY = {
    **{"faces": 1, "frames_with_face": 248, "frames_lost": 2, "frames_without": 0},
    "blinks": [{"track_id": 1, "start_s": 3.16, "end_s": 3.32}],
}
CLIP_RESPONSES = clip_responses(
    "/track",
    "The faces over time.",
    TrackClipReply,
    TRACK_COLUMNS,
    head={"model": TRACK_REPLY["model"], "variant": "dcrt", "rate_hz": None},
    clip=CLIP,
    moment={"frame": 33, "time_s": 1.28, "status": "tracking", "faces": [TRACKED_FACE]},
    summary=SUMMARY,
    tail={"status": "ok", "notes": [], "timings_ms": {"track": 2437.0}},
)


class TrackQuery(TrackOptions):
    """The options of a frame, and the number of its step."""

    step: StepNumber = None
    time_s: Finite | None = Field(
        default=None, description="The frame's time in seconds; that of its arrival if not given."
    )


class TrackClipQuery(TrackOptions):
    """The options of a clip."""

    rate_hz: Annotated[float | None, TRACK_RATE_HZ.bounds, Field(allow_inf_nan=False)] = (
        TRACK_RATE_HZ.default
    )


router = APIRouter(tags=["track"])


@router.post(
    "/track",
    summary="Follow faces through a clip",
    response_model=None,
    responses=CLIP_RESPONSES,
    openapi_extra=CLIP_BODY,
)
async def track_clip(
    request: Request, query: Annotated[TrackClipQuery, Query()], services: SharedServices, _: Caller
) -> Response:
    """Send the clip as the body itself (`Content-Type: video/...`) or as the multipart field
    `clip`: mp4, mov, webm, mkv, avi, mpg or ts. Every frame is looked at unless `rate_hz` says
    less; frames have their own times and numbers, and coordinates are pixels of the clip's upright
    pictures.

    `application/x-ndjson` gives a line as soon as it is known: the clip, its frames, a summary;
    `text/csv` OpenFace's columns, a row a face. A clip that turns out to be damaged is answered as
    far as it goes, and says so (`complete`). What ends the reply after its first line is its last
    line, of type `error`.
    """
    media_type = choose_media_type(request.headers.get("accept"), (JSON, NDJSON, CSV))
    tracker = Tracker(services)
    await tracker.check_loaded()
    clip = TrackClip(tracker, query, query.rate_hz)
    return await answer_clip(request, services, clip, page_of(media_type), media_type)


def page_of(media_type: str) -> Page:
    """Return a new page of one of the media types that are answered."""
    if media_type == CSV:
        return CsvPage(TRACK_COLUMNS, track_rows)
    if media_type == NDJSON:
        return LinesPage(TrackFrameLine, TrackSummaryLine)
    return JsonPage(TrackClipReply)


@router.post(
    "/track/{session}",
    summary="Follow faces by one more frame",
    response_model=None,
    responses=TRACK_RESPONSES,
    openapi_extra=PICTURE_BODY,
)
async def track(
    request: Request,
    session: SessionName,
    query: Annotated[TrackQuery, Query()],
    services: SharedServices,
    caller: Caller,
) -> Response:
    """Send one frame as the body itself (`Content-Type: image/...`) or as the multipart field
    `image`. A session begins with its first frame and is forgotten some minutes after its last.
    With `step`, a request can be repeated safely.

    Live video goes through a WebSocket at the same address: each binary message is one encoded
    frame, bare or behind nine bytes (`F`, then the time in seconds as little-endian float64), and
    gets one JSON reply, in order. A frame that still waits when a newer one comes is answered
    `dropped`; `?drop=false` turns that off. `{"type": "reset"}` starts anew. Options are those
    here, in the address or in a message `{"type": "options", ...}` before the first frame. Web
    pages send their key as the subprotocol `bearer.KEY` beside `countenance`.
    """
    address, subject = Address(MODEL, caller.name, session), TrackSubject(Tracker(services), query)
    read = partial(_read_frame, request, query, services.settings)
    return await answer_step(request, services, address, subject, read, query.step)


async def _read_frame(request: Request, query: TrackQuery, settings: Settings) -> Arrival:
    """Return what came as one step; raises ServiceError."""
    upload = await read_upload(request, settings)
    time_s = time.time() if query.time_s is None else check_time(query.time_s)
    notes = notes_on(name_format(upload.data), upload.media_type)
    return Arrival(None, time.perf_counter(), time_s, upload.data, notes=notes)


def _make(services: Services, query: Mapping[str, str]) -> tuple[Tracker, TrackSubject]:
    tracker = Tracker(services)
    return tracker, TrackSubject(tracker, parse_into(SocketOptions, query))


add_session_routes(router, MODEL, _make, "end_tracking")
