"""GET / and /docs: the page for people and the interface to read, from this installation alone."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

SERVICE = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
}
# Files change with the installation and not by name: browsers keep them and ask whether they hold.
ASK_AGAIN = "no-cache"
# Folders of vendor/ are named after their version.
FOR_GOOD = "public, max-age=31536000, immutable"

DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'"
)
router = APIRouter(include_in_schema=False)


class WebFiles(StaticFiles):
    """Files that browsers may keep; `suffix` names those that there are, where not all are."""

    def __init__(self, directory: Path, suffix: str = "") -> None:
        super().__init__(directory=directory)
        self._suffix = suffix

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return one file, or 304 where the browser has it already; raises HTTPException."""
        if not path.endswith(self._suffix):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = FOR_GOOD if path.startswith("vendor/") else ASK_AGAIN
        return response


WEB = WebFiles(SERVICE / "web")
# The folder has the client for Python, too.
CLIENT = WebFiles(SERVICE / "client", suffix=".js")
SAMPLE = WebFiles(SERVICE / "commands" / "sample", suffix=".jpg")


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """Return the page; its content policy allows this service's own files only.

    A 304 carries the headers too: browsers replace those they have kept by it.
    """
    response = await WEB.get_response("index.html", request.scope)
    response.headers.update(PAGE_HEADERS)
    return response


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Return the interface to read; its content policy allows this service's own scripts only."""
    response = await WEB.get_response("docs.html", request.scope)
    response.headers["Content-Security-Policy"] = DOCS_POLICY
    return response


@router.get("/asyncapi.yaml")
async def asyncapi() -> Response:
    """Return the description of the sockets."""
    return FileResponse(SERVICE / "asyncapi.yaml", media_type="application/yaml")


def mount_page(app: FastAPI) -> None:
    """Add the page, its files, the JavaScript client it uses, a picture to try it with; /docs."""
    app.include_router(router)
    swagger = Path(fastapi_offline.__file__).parent / "static"
    app.mount("/docs/static", StaticFiles(directory=swagger), name="docs-static")
    app.mount("/web/client", CLIENT, name="web-client")
    app.mount("/web/sample", SAMPLE, name="web-sample")
    app.mount("/web", WEB, name="web")
