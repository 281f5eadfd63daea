"""An application that cannot start says why in one line, where the framework logs a traceback."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ConfigurationError

FAILED = "lifespan.startup.failed"


class PlainStart:
    """Passes everything on; of a failed start only the reason, where the operator can mend it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one socket, or the application's life."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        failed: list[Message] = []

        async def hold(message: Message) -> None:
            if message["type"] == FAILED:
                failed.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, hold)
        except (ConfigurationError, OSError, ValueError) as error:
            if not failed:
                raise
            await send({"type": FAILED, "message": f"the service cannot start: {error}"})
        except BaseException:
            for message in failed:
                await send(message)
            raise
