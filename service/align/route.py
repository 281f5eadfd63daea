"""POST /align: one picture into its faces, as JSON, a drawn picture, or OpenFace's table."""

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal, NoReturn

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.align.interface import ALIGN_RESPONSES, CSV, JSON, PNG
from service.errors import Problem, ServiceError
from service.http.body import read_upload, while_connected
from service.http.openapi import PICTURE_BODY
from service.http.replies import HeldResponse, choose_media_type, notes_header
from service.live.model import Cost, Model
from service.media.images import ImageHeader, check_pixels, notes_on, sniff
from service.openface import faces_to_csv
from service.options import ALIGN_MAX_FACES, DENOISE, MIN_FACE_PX, MIN_QUALITY
from service.schemas import AlignReply
from service.services import Caller, Services, SharedServices

SHOWN = 60
IncludeList = Annotated[
    str, StringConstraints(pattern=r"^(aligned|denoised)(,(aligned|denoised))*$")
]
MODEL = "align"
# A drawn picture of noise is as large as its pixels; workers send no message beyond 64 MiB.
MOST_DRAWN_PX = 17_000_000
router = APIRouter(tags=["align"])


def parse_boxes(values: Sequence[str], most: int) -> list[list[float]] | None:
    """Read boxes written `x1,y1,x2,y2`, one a value, or as JSON lists; None where none are given.

    Raises ServiceError (invalid-box) naming the box: not four finite numbers, without area, or
    more than `most` boxes.
    """
    boxes = [box for value in values for box in _parse_value(value)]
    if len(boxes) > most:
        _refuse(f"{len(boxes)} boxes came; at most {most} are taken")
    return boxes or None


def _parse_value(value: str) -> list[list[float]]:
    if not value.strip():
        _refuse_none(value)
    if not value.lstrip().startswith("["):
        return [_check_box(value.split(","), value)]
    try:
        content = json.loads(value)
    # JSON of many brackets exceeds Python's stack.
    except (ValueError, RecursionError):
        _refuse(f"{value[:SHOWN]!r} is no JSON; write x1,y1,x2,y2 or [[x1,y1,x2,y2], ...]")
    if not content:
        _refuse_none(value)
    nested = bool(content) and all(isinstance(item, list) for item in content)
    return [_check_box(item, item) for item in (content if nested else [content])]


def _check_box(items: Sequence[Any], shown: object) -> list[float]:
    if len(items) != 4:
        _refuse(f"box {str(shown)[:SHOWN]!r} has {len(items)} numbers; x1,y1,x2,y2 are needed")
    try:
        box = [_to_float(item) for item in items]
    except (ValueError, OverflowError):
        _refuse(f"box {str(shown)[:SHOWN]!r} is not made of four numbers")
    if not all(math.isfinite(number) for number in box):
        _refuse(f"box {str(shown)[:SHOWN]!r} holds a number that is not finite")
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        _refuse(f"box {str(shown)[:SHOWN]!r} has no area; x2 > x1 and y2 > y1 are needed")
    return box


def _refuse_none(value: str) -> NoReturn:
    _refuse(
        f"{value!r} names no box: leave `boxes` out to have faces searched for, or write "
        "x1,y1,x2,y2"
    )


def _to_float(item: Any) -> float:
    # To Python, true and false are whole numbers.
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        raise ValueError
    return float(item)


def _refuse(detail: str) -> NoReturn:
    raise ServiceError(Problem.INVALID_BOX, detail)


class AlignQuery(BaseModel):
    """The options of a picture; names that are not listed here are refused."""

    model_config = ConfigDict(extra="forbid")

    boxes: list[str] = Field(
        default=[],
        description="Face boxes in pixels of the upright picture, one a parameter, such as "
        "`212,141,352,290` (x1, y1, x2, y2), or as JSON, `[[212, 141, 352, 290]]`. They are tight "
        "around the landmarks, and the detector is skipped.",
    )
    max_faces: Annotated[int | None, ALIGN_MAX_FACES.bounds] = None
    denoise: Annotated[Literal["auto", "off"], DENOISE.bounds] = "auto"
    include: list[IncludeList] = Field(
        default=[],
        description="Pictures to put into the JSON reply as PNG data URLs: `aligned`, `denoised`; "
        "repeated or with commas.",
    )
    min_face_px: Annotated[int, MIN_FACE_PX.bounds] = MIN_FACE_PX.default
    min_quality: Annotated[float, MIN_QUALITY.bounds] = MIN_QUALITY.default

    def included(self) -> list[str]:
        """Return the names in `include`, each once, in order."""
        return list(dict.fromkeys(name for item in self.include for name in item.split(",")))


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
    # A large GIF or PNG is walked block by block, for which the event loop has no time.
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
