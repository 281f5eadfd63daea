"""GET /docs: the interface to read and to try, from files of this installation alone."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

STATIC = Path(fastapi_offline.__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Countenance: the interface</title>
<link rel="icon" href="docs/static/favicon.png">
<link rel="stylesheet" href="docs/static/swagger-ui.css">
</head>
<body>
<nav style="padding: 12px 24px; font: 15px system-ui, sans-serif">
<a href=".">The page</a> &middot; <a href="asyncapi.yaml">The live sockets (AsyncAPI)</a> &middot;
<a href="openapi.json">This interface as OpenAPI</a>
</nav>
<div id="interface"></div>
<script src="docs/static/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
SCRIPT = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#interface",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  defaultModelExpandDepth: 1,
  validatorUrl: null,
});
"""

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """Return the page; its content policy allows this service's own scripts only."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@router.get("/docs/start.js")
async def start_script() -> Response:
    """Return the script that opens the interface's description in the page."""
    return Response(SCRIPT, media_type="text/javascript")


def mount_docs(app: FastAPI) -> None:
    """Add the page, and the files of Swagger UI that it loads."""
    app.include_router(router)
    app.mount("/docs/static", StaticFiles(directory=STATIC), name="docs-static")
