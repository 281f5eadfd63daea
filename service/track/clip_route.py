"""POST /track: a clip into its faces over time."""

import math
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from service.clips.pages import CSV, JSON, NDJSON, CsvPage, JsonPage, LinesPage, Page
from service.clips.serving import VIDEO_BODY, ClipJob, answer_clip
from service.http.replies import choose_media_type
from service.media.clips.contents import Sampling
from service.services import Caller, SharedServices
from service.track.clip import TrackClip
from service.track.clip_replies import TrackClipReply, TrackFrameLine, TrackSummaryLine
from service.track.interface import CLIP_RESPONSES, TrackClipQuery
from service.track.session import MODEL, Tracker
from service.track.table import TRACK_COLUMNS, track_rows

EVERY_FRAME_HZ = math.inf
MOST_SIDE = 1920  # larger pictures are shrunk to this; coordinates are the clip's all the same

router = APIRouter(tags=["track"])


@router.post(
    "/track",
    summary="Follow faces through a clip",
    response_model=None,
    responses=CLIP_RESPONSES,
    openapi_extra=VIDEO_BODY,
)
async def track_clip(
    request: Request, query: Annotated[TrackClipQuery, Query()], services: SharedServices, _: Caller
) -> Response:
    """Send the clip as the body itself (`Content-Type: video/...`) or as the multipart field
    `clip`: mp4, mov, webm, mkv, avi or mpg. Every frame is looked at unless `rate_hz` says less;
    frames have their own times and numbers, and coordinates are pixels of the clip's upright
    pictures.

    `application/x-ndjson` gives a line as soon as it is known: the clip, its frames, a summary;
    `text/csv` OpenFace's columns, a row a face. A clip that turns out to be damaged is answered as
    far as it goes, and says so (`complete`). What ends the reply after its first line is its last
    line, of type `error`.
    """
    media_type = choose_media_type(request.headers.get("accept"), (JSON, NDJSON, CSV))
    tracker = Tracker(services.inference, services.settings)
    await tracker.check_loaded()
    clip = TrackClip(tracker, query, services.metrics)
    job = ClipJob(
        MODEL,
        Sampling(query.rate_hz or EVERY_FRAME_HZ, MOST_SIDE),
        query.rate_hz,
        clip.ask,
        clip.note,
        clip.summarize,
    )
    return await answer_clip(request, services, job, page_of(media_type), media_type)


def page_of(media_type: str) -> Page:
    """Return a new page of one of the media types that are answered."""
    if media_type == CSV:
        return CsvPage(TRACK_COLUMNS, track_rows)
    if media_type == NDJSON:
        return LinesPage(TrackFrameLine, TrackSummaryLine)
    return JsonPage(TrackClipReply)
