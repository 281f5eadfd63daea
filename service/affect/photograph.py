"""A photograph into estimates of its faces: `align` finds them, `affect` estimates."""

import asyncio
import time
from collections.abc import Sequence

from fastapi import Request, Response

from service.affect.clip import PHOTOGRAPH_TYPES, photograph_page
from service.affect.replies import PhotographEstimates, PhotographFace, PhotographReply
from service.affect.session import MODEL, AffectModel, AffectOptions
from service.clips.replies import CSV
from service.http.body import Upload
from service.http.replies import choose_media_type, notes_header, while_connected
from service.live.model import Cost, Model
from service.media.images import check_pixels, notes_on, sniff
from service.schemas import AlignReply, Point
from service.services import Services

ALIGN = "align"
Box = tuple[float, float, float, float]


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
    actions = [face.actions for face in found.faces]
    inputs = {"frames": [data], "boxes": boxes, "landmarks": landmarks, "actions": actions}
    answer = await model.ask(inputs, asked, cost=cost)
    return PhotographEstimates.model_validate(answer.outputs)


def landmarks_box(landmarks: Sequence[Point]) -> Box:
    """Return the corners x1, y1, x2, y2 around landmarks."""
    across, down = zip(*landmarks, strict=True)
    return min(across), min(down), max(across), max(down)
