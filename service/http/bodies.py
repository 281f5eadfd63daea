"""OpenAPI's view of the files that a route takes: a form's, or one as the body itself."""

from collections.abc import Iterable, Mapping
from typing import Any

from service.http.body import FIELD, MULTIPART

BINARY = {"type": "string", "format": "binary"}
PICTURE_TYPES = (
    *("image/jpeg", "image/png", "image/webp", "image/heic", "image/avif"),
    *("image/bmp", "image/gif"),
)


def file_body(description: str, form: Mapping[str, Any], types: Iterable[str]) -> dict[str, Any]:
    """Return FastAPI's `openapi_extra` for a form of the schema `form`, or a file of `types`."""
    raw = {name: {"schema": BINARY} for name in types}
    content = {MULTIPART: {"schema": {"type": "object", **form}}, **raw}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def one_file(field: str) -> dict[str, Any]:
    """Return the schema of a form that has to have a file in `field`."""
    return {"properties": {field: BINARY}, "required": [field]}


PICTURE_BODY = file_body(
    "The picture, as a form's file or as the body itself.", one_file(FIELD), PICTURE_TYPES
)
