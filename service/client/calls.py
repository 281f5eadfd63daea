"""The asynchronous client: one method for each thing that a service does."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter
from pydantic import ValidationError as InvalidReply
from websockets.asyncio.client import ClientConnection, connect

from service.client.errors import ProblemError, UnreachableError, refusal
from service.client.live import LiveSession
from service.client.retries import Retries
from service.schemas import AlignReply, Models, SessionInfo
from service.streams.replies import DroppedReply, ErrorReply, TrackReply

TrackAnswer = TrackReply | DroppedReply | ErrorReply
Corners = tuple[float, float, float, float]
Checked = TypeVar("Checked", bound=BaseModel)

MOST_REPLY_BYTES = 2**24
_TRACK: TypeAdapter[TrackAnswer] = TypeAdapter(TrackAnswer)


class AsyncCountenance:
    """A service at `url`, with the API key that it wants, if any.

    Methods raise ProblemError for what the service refuses and UnreachableError where none of ours
    answers. `timeout_s` is for one answer, `reconnect_s` for how long live sessions try to go on.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = 120.0,
        reconnect_s: float = 30.0,
    ) -> None:
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._reconnect_s = reconnect_s
        self._http = httpx.AsyncClient(
            base_url=url, headers=self._headers, timeout=timeout_s, follow_redirects=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def align(
        self,
        image: bytes,
        *,
        boxes: Sequence[Corners] = (),
        max_faces: int | None = None,
        min_face: int | None = None,
        denoise: Literal["auto", "off"] = "auto",
        include: tuple[Literal["aligned", "denoised"], ...] = (),
    ) -> AlignReply:
        """The faces of an encoded picture; `boxes` in its pixels replace the detector."""
        query = {
            "boxes": [",".join(map(str, box)) for box in boxes],
            "max_faces": max_faces,
            "min_face": min_face,
            "denoise": denoise,
            "include": include,
        }
        body = await self._post("align", query, image, "application/json")
        return self._checked(AlignReply, body)

    async def draw(
        self,
        image: bytes,
        *,
        max_faces: int | None = None,
        min_face: int | None = None,
        denoise: Literal["auto", "off"] = "auto",
    ) -> bytes:
        """The picture with its faces drawn on it, as PNG."""
        query = {"max_faces": max_faces, "min_face": min_face, "denoise": denoise}
        return await self._post("align", query, image, "image/png")

    def track(
        self,
        session: str,
        *,
        max_faces: int = 1,
        min_face: int = 40,
        steady: bool = True,
        smoothing: bool = False,
        variant: str | None = None,
        drop: bool = False,
        ahead: int = 2,
    ) -> LiveSession[TrackAnswer]:
        """A session that follows faces: a context manager that connects when it is entered.

        With `drop` a frame that waits gives way to a newer one and is answered `dropped`: for
        cameras. `ahead` frames may be without a reply at once.
        """
        query = {
            "max_faces": max_faces,
            "min_face": min_face,
            "steady": steady,
            "smoothing": smoothing,
            "variant": variant,
            "drop": drop,
        }
        return self._live(f"track/{_quoted(session)}", query, ahead)

    async def end_tracking(self, session: str) -> None:
        """Let the service forget a session of `track` now."""
        await self._ask("DELETE", f"track/{_quoted(session)}")

    async def session(self, session: str) -> SessionInfo:
        """What the service keeps under a session's name."""
        response = await self._ask("GET", f"sessions/{_quoted(session)}")
        return self._checked(SessionInfo, response.content)

    async def models(self) -> Models:
        """Which models the service has."""
        return self._checked(Models, (await self._ask("GET", "models")).content)

    async def _post(
        self, path: str, query: Mapping[str, object], data: bytes, accept: str
    ) -> bytes:
        response = await self._ask(
            "POST", path, params=_given(query), files={"image": data}, headers={"Accept": accept}
        )
        return response.content

    async def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **how)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if not response.is_success:
            raise refusal(response)
        return response

    def _live(self, path: str, query: Mapping[str, object], ahead: int) -> LiveSession[TrackAnswer]:
        address = self._http.base_url.join(path).copy_merge_params(_given(query))
        scheme = "wss" if address.scheme == "https" else "ws"
        url = str(address.copy_with(scheme=scheme))

        async def open_socket() -> ClientConnection:
            return await connect(
                url,
                additional_headers=self._headers,
                compression=None,  # the frames are compressed already
                max_size=MOST_REPLY_BYTES,
                ping_interval=None,  # a reply that does not come tells more than a ping
            )

        retries = Retries(str(self._http.base_url), self._reconnect_s)
        return LiveSession(open_socket, _read_track, retries, ahead, self._timeout_s)

    def _checked(self, kind: type[Checked], body: bytes) -> Checked:
        try:
            return kind.model_validate_json(body)
        except InvalidReply as error:
            raise UnreachableError(
                f"{self._http.base_url} gave no answer of ours: {error}"
            ) from error

    def _unreachable(self, error: Exception) -> UnreachableError:
        said = str(error) or type(error).__name__
        return UnreachableError(f"no answer from {self._http.base_url}: {said}")


def _read_track(text: str) -> TrackAnswer:
    reply = _TRACK.validate_json(text)
    if isinstance(reply, ErrorReply) and reply.sequence is None:
        found = reply.error
        raise ProblemError(found.type, found.title, found.status, found.detail)
    return reply


def _given(query: Mapping[str, object]) -> dict[str, Any]:
    """The parameters that are not None, for httpx to write into an address."""
    return {name: value for name, value in query.items() if value is not None}


def _quoted(session: str) -> str:
    return quote(session, safe="")
