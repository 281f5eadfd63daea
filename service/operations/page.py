"""GET /: the page for people, and the files it is made of, from this installation alone."""

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

SERVICE = Path(__file__).parents[1]
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


def mount_page(app: FastAPI) -> None:
    """Add the page, its files, the JavaScript client it uses, and a picture to try it with."""
    app.include_router(router)
    app.mount("/web/client", CLIENT, name="web-client")
    app.mount("/web/sample", SAMPLE, name="web-sample")
    app.mount("/web", WEB, name="web")
