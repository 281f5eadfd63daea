"""POST /align: one picture into its faces, as JSON, a drawn picture, or OpenFace's table."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from service.align.interface import ALIGN_RESPONSES, CSV, JSON, PNG, AlignQuery, parse_boxes
from service.errors import Problem, ServiceError
from service.http.body import read_upload
from service.http.openapi import PICTURE_BODY
from service.http.replies import HeldResponse, choose_media_type, notes_header, while_connected
from service.live.model import Cost, Model
from service.media.images import ImageHeader, check_pixels, notes_on, sniff
from service.openface import faces_to_csv
from service.schemas import AlignReply
from service.services import Caller, Services, SharedServices

MODEL = "align"
# A drawn picture of noise is as large as its pixels; workers send no message beyond 64 MiB.
MOST_DRAWN_PX = 17_000_000

router = APIRouter(tags=["align"])


@router.post(
    "/align",
    summary="Find faces and their 68 landmarks in a picture",
    response_model=None,
    responses=ALIGN_RESPONSES,
    openapi_extra=PICTURE_BODY,
)
async def align(
    request: Request, query: Annotated[AlignQuery, Query()], services: SharedServices, _: Caller
) -> Response:
    """Send the picture as the body itself (`Content-Type: image/...`) or as the multipart field
    `image`. Coordinates of the reply are pixels of the upright picture (EXIF orientation applied),
    pixel centres at whole numbers, the top left pixel at (0, 0).
    """
    media_type = choose_media_type(request.headers.get("accept"), (JSON, PNG, CSV))
    options = _options(query, media_type, services)
    started = time.perf_counter()
    with services.uploads.slot():
        image, header, notes = await _read_image(request, services)
    if media_type == PNG and header.pixels > MOST_DRAWN_PX:
        raise ServiceError(
            Problem.TOO_MANY_PIXELS,
            f"it has {header.pixels} pixels; {MOST_DRAWN_PX} are drawn at most, {JSON} takes more",
        )
    read_ms = (time.perf_counter() - started) * 1000
    model = Model(MODEL, services)
    cost = Cost.of_pictures([header.pixels], query.min_face_px, len(options["boxes"] or ()))
    async with AsyncExitStack() as stack:
        stack.enter_context(services.in_flight.slot())
        asking = model.ask({"image": image}, options, cost=cost)
        answer = await while_connected(request, asking)
        outputs = {**answer.outputs, "notes": [*notes, *answer.outputs["notes"]]}
        body, headers = _write(outputs, media_type, read_ms, services)
        send_s = services.settings.socket_send_s
        return HeldResponse(body, stack.pop_all(), send_s, media_type, headers)


def _options(query: AlignQuery, media_type: str, services: Services) -> dict[str, Any]:
    """Return the options of the question; raises ServiceError for what does not go together."""
    settings = services.settings
    include = query.included()
    if include and media_type != JSON:
        raise ServiceError(
            Problem.INVALID_REQUEST, f"include goes with {JSON} only; {media_type} was chosen"
        )
    max_faces = settings.max_faces if query.max_faces is None else query.max_faces
    if max_faces > settings.max_faces:
        raise ServiceError(
            Problem.INVALID_REQUEST, f"max_faces is {max_faces}; at most {settings.max_faces} here"
        )
    return {
        "boxes": parse_boxes(query.boxes, max_faces),
        "max_faces": max_faces,
        "denoise": query.denoise,
        "include": ["overlay"] if media_type == PNG else include,
        "min_face_px": query.min_face_px,
        "min_quality": query.min_quality,
        "max_pixels": settings.max_pixels,
    }


async def _read_image(request: Request, services: Services) -> tuple[bytes, ImageHeader, list[str]]:
    """Return the picture's bytes, its header, by which it is bounded, and what is to be told."""
    upload = await read_upload(request, services.settings)
    header = await asyncio.to_thread(sniff, upload.data)
    check_pixels(header, services.settings.max_pixels)
    return upload.data, header, notes_on(header.format, upload.media_type)


def _write(
    outputs: Mapping[str, Any], media_type: str, read_ms: float, services: Services
) -> tuple[bytes | str, dict[str, str]]:
    """Return the reply's body and headers."""
    body = AlignReply.model_validate(outputs)
    services.metrics.observe_stages(MODEL, {"read": read_ms, **body.timings_ms})
    services.metrics.faces.labels(MODEL).inc(len(body.faces))
    headers = {"Countenance-Model": f"{body.model.name}/{body.model.version}", "Vary": "Accept"}
    if media_type != JSON:
        headers |= notes_header(body.notes)
    if media_type == PNG:
        return outputs["overlay"], headers
    if media_type == CSV:
        return faces_to_csv(body), headers
    return body.model_dump_json(by_alias=True), headers
