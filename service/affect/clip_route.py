"""POST /affect: a clip, or sound alone, into its valence and arousal over time."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from service.affect.clip import AffectClip
from service.affect.interface import AFFECT_BODY, AFFECT_RESPONSES, AffectQuery
from service.affect.model import MODEL, AffectModel
from service.affect.pages import page_of
from service.affect.photograph import answer_photograph
from service.clips.pages import CSV, JSON, NDJSON, SVG
from service.clips.serving import ClipJob, answer_clip
from service.http.body import essence
from service.http.replies import choose_media_type
from service.media.clips.contents import Sampling
from service.services import Caller, SharedServices

router = APIRouter(tags=["affect"])


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
    multipart field `clip`: mp4, mov, webm, mkv, avi or mpg with or without sound, or sound alone.
    A photograph comes as the body itself (`Content-Type: image/...`) and is answered with every
    face in it, each by itself.
    Times of the reply are the clip's own, in seconds; boxes are pixels of its upright pictures.

    `application/x-ndjson` gives a line as soon as it is known: the clip, its frames, a summary. A
    clip that turns out to be damaged is answered as far as it goes, and says so (`complete`). What
    ends the reply after its first line is its last line, of type `error`.
    """
    model = AffectModel(services.inference, services.settings)
    if essence(request.headers.get("content-type", "")).startswith("image/"):
        return await answer_photograph(request, query, model, services)
    media_type = choose_media_type(request.headers.get("accept"), (JSON, NDJSON, CSV, SVG))
    await model.check_loaded()
    clip = AffectClip(model, query, query.rate_hz, services.metrics)
    job = ClipJob(
        MODEL,
        Sampling(rate_hz=query.rate_hz),
        query.rate_hz,
        clip.ask,
        clip.note,
        clip.summarize,
    )
    return await answer_clip(request, services, job, page_of(media_type, query.faces), media_type)
