"""The application: settings in, a FastAPI application out, with everything opened and closed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from fastapi import FastAPI
from prometheus_client import Gauge
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import WebSocketRoute

from service import operations, page
from service.affect import route as affect
from service.align import route as align
from service.http.middleware import Gate, RequestContext
from service.http.openapi import install_openapi
from service.http.problems import install_error_handlers
from service.http.replies import NOTES_HEADER
from service.inference import Inference
from service.inference.local import LocalInference
from service.inference.remote.torchserve import TorchServeInference
from service.live.serving import refuse_unknown
from service.security import Authenticator
from service.services import InFlight, Services, Sockets
from service.sessions import MemoryStore, SessionStore
from service.sessions.redis import RedisStore
from service.settings import Settings
from service.telemetry import Metrics, make_tracing
from service.track import route as track

DESCRIPTION = """Send a picture, get for every face its box, 68 landmarks, the kind of degradation
it suffers from, head pose and a quality. Send frames as they come, get the faces followed through
time. Send a clip, or frames and sound as they come, get valence and arousal over time. No picture
is stored; a live session keeps a spectrum of what it heard last, for as long as it is kept itself.

Errors are `application/problem+json`; their `type` is stable."""
# Scripts of other origins see no header that is not named here.
EXPOSED_HEADERS = ("X-Request-ID", "Countenance-Model", NOTES_HEADER, "Retry-After")


def make_inference(settings: Settings) -> Inference:
    """Return the way to the models, not yet open; raises ConfigurationError."""
    if settings.workers:
        return TorchServeInference.from_settings(settings)
    return LocalInference.from_settings(settings)


def make_store(settings: Settings, metrics: Metrics) -> SessionStore:
    """Return the store, connected to nothing yet; raises ConfigurationError for a wrong address."""
    ttl_s, most = settings.session_ttl_s, settings.max_session_bytes
    each = None if settings.api_keys_file is None else settings.share_of(settings.max_sessions)
    if settings.redis_url is None:
        return MemoryStore(ttl_s, settings.max_sessions, most, each=each, metrics=metrics)
    secret = settings.read_secret() or (urlsplit(settings.redis_url).password or "").encode()
    timeout_s = settings.store_timeout_s
    return RedisStore(settings.redis_url, ttl_s, most, timeout_s, each, secret, metrics)


def create_app(settings: Settings, inference: Inference | None = None) -> FastAPI:
    """Build the application; models are loaded when it starts, not here.

    `inference` replaces what `settings` name. Raises ConfigurationError when the keys file, the
    model store or the packages that the models need are missing.
    """
    services = _make_services(settings, inference)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.inference.open()
        try:
            yield
        finally:
            await services.store.close()
            await services.inference.close()
            services.tracing.close()

    app = FastAPI(
        title="Countenance",
        summary="Face alignment, face tracking, and valence and arousal as a service",
        description=DESCRIPTION,
        version=_version(),
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/"}],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Generators of clients name their functions by it: it stays when an address changes.
        generate_unique_id_function=lambda route: route.name,
        middleware=_middleware(services),
    )
    app.state.services = services
    install_error_handlers(app)
    routers = [module.router for module in (align, track, affect, operations)]
    for router in routers:
        app.include_router(router)
    # Behind all others: it takes every socket that none of them has taken.
    app.router.routes.append(WebSocketRoute("/{path:path}", refuse_unknown))
    page.mount_page(app)
    install_openapi(app, routers, services.authenticator.required)
    return app


def _make_services(settings: Settings, inference: Inference | None) -> Services:
    measured, tracing = Metrics(), make_tracing(settings)
    return Services(
        settings=settings,
        inference=inference or make_inference(settings),
        store=make_store(settings, measured),
        sockets=Sockets(settings.max_sockets, measured),
        authenticator=Authenticator(settings),
        uploads=_in_flight(settings, settings.max_uploads, measured.uploads),
        in_flight=_in_flight(settings, settings.max_in_flight, measured.in_flight),
        clips=_in_flight(settings, settings.max_clips, measured.clips),
        metrics=measured,
        tracing=tracing,
    )


def _in_flight(settings: Settings, most: int, gauge: Gauge) -> InFlight:
    return InFlight(most, gauge, settings.share_of(most))


def _middleware(services: Services) -> list[Middleware]:
    """Return the layers around the routes, outermost first."""
    settings = services.settings
    return [
        Middleware(RequestContext, metrics=services.metrics, tracing=services.tracing),
        Middleware(Gate, settings=settings, keys_required=services.authenticator.required),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("Authorization", "Content-Type", "X-Request-ID"),
            expose_headers=EXPOSED_HEADERS,
        ),
    ]


def _version() -> str:
    try:
        return version("countenance")
    except PackageNotFoundError:
        return "0+source"
