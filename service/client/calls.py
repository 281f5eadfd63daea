"""The asynchronous client: one method for each thing that a service does, here or elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel
from pydantic import ValidationError as InvalidReply

from service.affect.replies import AffectClipReply
from service.client.dialing import Dial, given
from service.client.live import AffectSession, LiveSession
from service.client.local import ADDRESS, LocalService
from service.client.wire import (
    AffectAnswer,
    AffectLine,
    ClipFile,
    Lines,
    Picture,
    TrackAnswer,
    TrackLine,
    UnreachableError,
    affect_lines,
    encoded,
    opened,
    read_affect,
    read_track,
    refusal,
    track_lines,
)
from service.options import (
    AFFECT_MAX_FACES,
    ALIGN_MAX_FACES,
    DELAY_S,
    MIN_FACE_PX,
    MIN_QUALITY,
    RATE_HZ,
    SMOOTHING,
    STEADY,
    TRACK_MAX_FACES,
)
from service.schemas import AlignReply, Models, SessionInfo
from service.track.replies import TrackClipReply

Corners = tuple[float, float, float, float]
Checked = TypeVar("Checked", bound=BaseModel)
Line = TypeVar("Line", TrackLine, AffectLine)

JSON, NDJSON, PNG, SVG = "application/json", "application/x-ndjson", "image/png", "image/svg+xml"
PIECE_BYTES = 2**18


class AsyncCountenance:
    """A service at `url`, with the API key that it wants, if any; without `url` in this process.

    The service in this process has no port. Its weights are those of `model_store`, by default
    those installed with the code; a model is loaded when it is first asked, on `device`.

    Methods raise ProblemError for what the service refuses and UnreachableError where none of ours
    answers. `timeout_s` is for one answer, `reconnect_s` for how long live sessions try to go on.
    Pictures are encoded bytes, paths or arrays, uint8 RGB `(H, W, 3)`; clips are paths, bytes or
    open files.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        model_store: str | PathLike[str] | None = None,
        device: str | None = None,
        timeout_s: float | None = None,
        reconnect_s: float = 30.0,
    ) -> None:
        """Raise ConfigurationError where no model can run in this process."""
        store = None if model_store is None else Path(model_store)
        self._local = LocalService(store, device) if url is None else None
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s or (120.0 if self._local is None else 600.0)
        file = None if self._local is None else self._local.socket
        self._http = httpx.AsyncClient(
            transport=None if file is None else httpx.AsyncHTTPTransport(uds=file),
            base_url=url or ADDRESS,
            headers=self._headers,
            timeout=self._timeout_s,
            follow_redirects=False,
        )
        self._dial = Dial(self._http.base_url, self._headers, reconnect_s, file, self._start)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections, and of the models of this process."""
        await self._http.aclose()
        if self._local is not None:
            await self._local.stop()

    def discard(self) -> None:
        """Remove what a client that is not closed would leave behind."""
        if self._local is not None:
            self._local.discard()

    async def align(
        self,
        image: Picture,
        *,
        boxes: Sequence[Corners] = (),
        max_faces: int = ALIGN_MAX_FACES.default,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        denoise: Literal["auto", "off"] = "auto",
        include: tuple[Literal["aligned", "denoised"], ...] = (),
    ) -> AlignReply:
        """Find the faces of a picture; `boxes` in its pixels replace the detector."""
        query = {
            "boxes": [",".join(map(str, box)) for box in boxes],
            "max_faces": max_faces,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "denoise": denoise,
            "include": include,
        }
        return self._checked(AlignReply, await self._post_picture(image, query, JSON))

    async def draw(
        self,
        image: Picture,
        *,
        max_faces: int = ALIGN_MAX_FACES.default,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        denoise: Literal["auto", "off"] = "auto",
    ) -> bytes:
        """Draw the faces of a picture on it; return a PNG."""
        query = {
            "max_faces": max_faces,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "denoise": denoise,
        }
        return await self._post_picture(image, query, PNG)

    async def track(
        self,
        clip: ClipFile,
        *,
        max_faces: int = TRACK_MAX_FACES.default,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        steady: bool = STEADY.default,
        smoothing: bool = SMOOTHING.default,
        variant: str | None = None,
        rate_hz: float | None = None,
    ) -> TrackClipReply:
        """Follow the faces of a clip; every frame is looked at, or `rate_hz` a second."""
        query = {
            "max_faces": max_faces,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "steady": steady,
            "smoothing": smoothing,
            "variant": variant,
            "rate_hz": rate_hz,
        }
        return self._checked(TrackClipReply, await self._post_clip("track", clip, query, JSON))

    async def track_lines(
        self,
        clip: ClipFile,
        *,
        max_faces: int = TRACK_MAX_FACES.default,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        steady: bool = STEADY.default,
        smoothing: bool = SMOOTHING.default,
        variant: str | None = None,
        rate_hz: float | None = None,
    ) -> AsyncIterator[TrackLine]:
        """Follow the faces of a clip, telling as soon as it is known: clip, frames, summary."""
        query = {
            "max_faces": max_faces,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "steady": steady,
            "smoothing": smoothing,
            "variant": variant,
            "rate_hz": rate_hz,
        }
        async for line in self._lines("track", clip, query, track_lines):
            yield line

    def track_live(
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
        """Open a session that follows faces: a context manager that connects when it is entered.

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

    async def affect(
        self,
        clip: ClipFile,
        *,
        rate_hz: float = RATE_HZ.default,
        variant: str | None = None,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        max_faces: int = AFFECT_MAX_FACES.default,
    ) -> AffectClipReply:
        """Estimate valence and arousal over a clip, pictures and sound or one of them.

        `rate_hz` is how many frames a second are looked at, at most.
        """
        query = {
            "rate_hz": rate_hz,
            "variant": variant,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "max_faces": max_faces,
        }
        return self._checked(AffectClipReply, await self._post_clip("affect", clip, query, JSON))

    async def affect_lines(
        self,
        clip: ClipFile,
        *,
        rate_hz: float = RATE_HZ.default,
        variant: str | None = None,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        max_faces: int = AFFECT_MAX_FACES.default,
    ) -> AsyncIterator[AffectLine]:
        """Estimate over a clip, telling as soon as it is known: clip, frames, summary."""
        query = {
            "rate_hz": rate_hz,
            "variant": variant,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "max_faces": max_faces,
        }
        async for line in self._lines("affect", clip, query, affect_lines):
            yield line

    async def plot(
        self,
        clip: ClipFile,
        *,
        rate_hz: float = RATE_HZ.default,
        variant: str | None = None,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        max_faces: int = AFFECT_MAX_FACES.default,
    ) -> bytes:
        """Draw valence and arousal over a clip as a timeline; return an SVG."""
        query = {
            "rate_hz": rate_hz,
            "variant": variant,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "max_faces": max_faces,
        }
        return await self._post_clip("affect", clip, query, SVG)

    def affect_live(
        self,
        session: str,
        *,
        variant: str | None = None,
        min_face_px: int = MIN_FACE_PX.default,
        min_quality: float = MIN_QUALITY.default,
        max_faces: int = AFFECT_MAX_FACES.default,
        delay_s: float = DELAY_S.default,
        drop: bool = False,
        ahead: int = 2,
    ) -> AffectSession[AffectAnswer]:
        """Open a session that estimates valence and arousal from frames and, with `hear`, sound."""
        query = {
            "variant": variant,
            "min_face_px": min_face_px,
            "min_quality": min_quality,
            "max_faces": max_faces,
            "delay_s": delay_s,
            "drop": drop,
        }
        return AffectSession(
            self._dial.to(f"affect/{_quoted(session)}", given(query)),
            read_affect,
            self._dial.retries(),
            ahead,
            self._timeout_s,
        )

    async def end_tracking(self, session: str) -> None:
        """Let the service forget a session of `track` now."""
        await self._ask("DELETE", f"track/{_quoted(session)}")

    async def session(self, session: str) -> SessionInfo:
        """Return what the service keeps under a session's name."""
        response = await self._ask("GET", f"sessions/{_quoted(session)}")
        return self._checked(SessionInfo, response.content)

    async def models(self) -> Models:
        """Return which models the service has, with their terms and figures."""
        return self._checked(Models, (await self._ask("GET", "models")).content)

    async def _start(self) -> None:
        if self._local is not None:
            await self._local.start()

    async def _post_picture(
        self, image: Picture, query: Mapping[str, object], accept: str
    ) -> bytes:
        data = await asyncio.to_thread(encoded, image)
        how = {"params": given(query), "files": {"image": data}, "headers": {"Accept": accept}}
        return (await self._ask("POST", "align", **how)).content

    async def _post_clip(
        self, path: str, clip: ClipFile, query: Mapping[str, object], accept: str
    ) -> bytes:
        with opened(clip) as file:
            return (await self._ask("POST", path, **_upload(file, query, accept))).content

    async def _lines(
        self, path: str, clip: ClipFile, query: Mapping[str, object], lines: Lines[Line]
    ) -> AsyncIterator[Line]:
        await self._start()
        with opened(clip) as file:
            how = _upload(file, query, NDJSON)
            try:
                async with self._http.stream("POST", path, **how) as response:
                    if not response.is_success:
                        await response.aread()
                        raise refusal(response)
                    async for line in response.aiter_lines():
                        yield lines(line)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                raise self._unreachable(error) from error

    async def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        await self._start()
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
    """Make a request whose body is a file, read as it is sent."""

    async def pieces() -> AsyncIterator[bytes]:
        while piece := await asyncio.to_thread(clip.read, PIECE_BYTES):
            yield piece

    headers = {"Accept": accept, "Content-Type": "application/octet-stream"}
    return {"params": given(query), "content": pieces(), "headers": headers}


def _quoted(session: str) -> str:
    return quote(session, safe="")
