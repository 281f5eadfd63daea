"""The socket /track/{session}, and POST and DELETE for clients without one."""

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, WebSocket

from service.http.body import read_upload
from service.http.openapi import PICTURE_BODY
from service.live.messages import check_time
from service.live.serving import SessionName, answer_step, end_session, serve_socket
from service.services import Caller, SharedServices
from service.sessions import Address
from service.track.interface import END_RESPONSES, TRACK_RESPONSES, TrackQuery
from service.track.session import MODEL, TrackChunk, Tracker, TrackSubject, parse_options

router = APIRouter(tags=["track"])


@router.websocket("/track/{session}")
async def track_live(socket: WebSocket, session: str, services: SharedServices) -> None:
    """Follow faces through the frames of one socket; what refuses it is its close code."""

    def make() -> tuple[Tracker, TrackSubject]:
        tracker = Tracker(services.inference, services.settings)
        return tracker, TrackSubject(tracker, parse_options(socket.query_params))

    await serve_socket(socket, session, services, make)


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
    tracker = Tracker(services.inference, services.settings)
    await tracker.check_loaded()
    address = Address(MODEL, caller.name, session)
    with services.uploads.slot():
        upload = await read_upload(request, services.settings)
    time_s = time.time() if query.time_s is None else check_time(query.time_s)
    chunk = TrackChunk(tracker, upload.data, time_s, query, query.step)
    return await answer_step(request, services, address, chunk)


@router.delete(
    "/track/{session}", summary="End a session", status_code=204, responses=END_RESPONSES
)
async def end_tracking(session: SessionName, services: SharedServices, caller: Caller) -> None:
    """Forget the session's state now; a socket that still holds it is closed at its next frame."""
    await end_session(services, Address(MODEL, caller.name, session))
