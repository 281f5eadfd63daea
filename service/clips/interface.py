"""What every route of a clip takes and refuses, as OpenAPI shows it."""

from service.clips.serving import CLIP_FIELD
from service.errors import Problem
from service.http.bodies import file_body, one_file
from service.http.responses import MODEL, WITH_KEY

VIDEO_TYPES = (
    *("video/mp4", "video/quicktime", "video/webm", "video/x-matroska", "video/x-msvideo"),
    "video/mpeg",
)
SOUND_TYPES = ("audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/mp4")
ANY_TYPE = "application/octet-stream"
VIDEO_BODY = file_body(
    "The clip, as a form's file or as the body itself.",
    one_file(CLIP_FIELD),
    (*VIDEO_TYPES, ANY_TYPE),
)
CLIP_BODY = file_body(
    "The clip, as a form's file or as the body itself.",
    one_file(CLIP_FIELD),
    (*VIDEO_TYPES, *SOUND_TYPES, ANY_TYPE),
)
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
