"""The asynchronous client: one method for each thing that a service does."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, BinaryIO, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel
from pydantic import ValidationError as InvalidReply

from service.affect.clip_replies import AffectClipReply
from service.client.dialing import Dial, given
from service.client.errors import UnreachableError, refusal
from service.client.live import AffectSession, LiveSession
from service.client.replies import (
    AffectAnswer,
    AffectLine,
    TrackAnswer,
    read_affect,
    read_line,
    read_track,
)
from service.options import (
    AFFECT_MAX_FACES,
    MIN_FACE_PX,
    MIN_QUALITY,
    RATE_HZ,
    SMOOTHING,
    STEADY,
    TRACK_MAX_FACES,
)
from service.schemas import AlignReply, Models, SessionInfo

Corners = tuple[float, float, float, float]
Checked = TypeVar("Checked", bound=BaseModel)

PIECE_BYTES = 2**18


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
        self._http = httpx.AsyncClient(
            base_url=url, headers=self._headers, timeout=timeout_s, follow_redirects=False
        )
        self._dial = Dial(self._http.base_url, self._headers, reconnect_s)

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
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        denoise: Literal["auto", "off"] = "auto",
        include: tuple[Literal["aligned", "denoised"], ...] = (),
    ) -> AlignReply:
        """The faces of an encoded picture; `boxes` in its pixels replace the detector."""
        query = {
            "boxes": [",".join(map(str, box)) for box in boxes],
            "max_faces": max_faces,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
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
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        denoise: Literal["auto", "off"] = "auto",
    ) -> bytes:
        """The picture with its faces drawn on it, as PNG."""
        query = {
            "max_faces": max_faces,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "denoise": denoise,
        }
        return await self._post("align", query, image, "image/png")

    def track(
        self,
        session: str,
        *,
        max_faces: int = TRACK_MAX_FACES.default,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        steady: bool = STEADY.default,
        smoothing: bool = SMOOTHING.default,
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
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "steady": steady,
            "smoothing": smoothing,
            "variant": variant,
            "drop": drop,
        }
        return LiveSession(
            self._dial.to(f"track/{_quoted(session)}", given(query)),
            read_track,
            self._dial.retries(),
            ahead,
            self._timeout_s,
        )

    def affect_live(
        self,
        session: str,
        *,
        variant: str | None = None,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        max_faces: int = AFFECT_MAX_FACES.default,
        drop: bool = False,
        ahead: int = 2,
    ) -> AffectSession[AffectAnswer]:
        """A session that estimates valence and arousal from frames and, with `hear`, sound."""
        query = {
            "variant": variant,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "max_faces": max_faces,
            "drop": drop,
        }
        return AffectSession(
            self._dial.to(f"affect/{_quoted(session)}", given(query)),
            read_affect,
            self._dial.retries(),
            ahead,
            self._timeout_s,
        )

    async def affect(
        self,
        clip: BinaryIO,
        *,
        rate_hz: float = RATE_HZ.default,
        variant: str | None = None,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        max_faces: int = AFFECT_MAX_FACES.default,
    ) -> AffectClipReply:
        """Valence and arousal over a clip, pictures and sound or one of them; sent piece by piece.

        `rate_hz` is how many frames a second are looked at, at most.
        """
        query = {
            "rate_hz": rate_hz,
            "variant": variant,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "max_faces": max_faces,
        }
        how = _upload(clip, query, "application/json")
        return self._checked(AffectClipReply, (await self._ask("POST", "affect", **how)).content)

    async def affect_lines(
        self,
        clip: BinaryIO,
        *,
        rate_hz: float = RATE_HZ.default,
        variant: str | None = None,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        max_faces: int = AFFECT_MAX_FACES.default,
    ) -> AsyncIterator[AffectLine]:
        """The same as soon as it is known: the clip, its frames, a summary."""
        query = {
            "rate_hz": rate_hz,
            "variant": variant,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "max_faces": max_faces,
        }
        how = _upload(clip, query, "application/x-ndjson")
        try:
            async with self._http.stream("POST", "affect", **how) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal(response)
                async for line in response.aiter_lines():
                    yield read_line(line)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error

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
            "POST", path, params=given(query), files={"image": data}, headers={"Accept": accept}
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


def _upload(clip: BinaryIO, query: Mapping[str, object], accept: str) -> dict[str, Any]:
    """A request whose body is a file, read as it is sent."""

    async def pieces() -> AsyncIterator[bytes]:
        while piece := await asyncio.to_thread(clip.read, PIECE_BYTES):
            yield piece

    headers = {"Accept": accept, "Content-Type": "application/octet-stream"}
    return {"params": given(query), "content": pieces(), "headers": headers}


def _quoted(session: str) -> str:
    return quote(session, safe="")
