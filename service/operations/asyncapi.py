"""GET /asyncapi.yaml: the live sockets, for programs and people to read."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

FILE = Path(__file__).parent.parent / "asyncapi.yaml"

router = APIRouter(include_in_schema=False)


@router.get("/asyncapi.yaml")
async def asyncapi() -> Response:
    """Return the description of the sockets."""
    return FileResponse(FILE, media_type="application/yaml")
