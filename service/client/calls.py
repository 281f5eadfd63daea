"""The asynchronous client: one method for each thing that a service does, here or elsewhere."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, TypeVar, Unpack
from urllib.parse import quote

import httpx
from pydantic import BaseModel
from pydantic import ValidationError as InvalidReply
from websockets.asyncio.client import ClientConnection

from service.affect.replies import AffectClipReply, PhotographReply
from service.client.live import AffectSession, LiveSession, Retries
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
    given,
    open_socket,
    opened,
    read_affect,
    read_track,
    refusal,
    track_lines,
)
from service.errors import ConfigurationError
from service.options import (
    AffectClipKeywords,
    AffectLiveKeywords,
    AffectPhotoKeywords,
    AlignKeywords,
    TrackClipKeywords,
    TrackKeywords,
)
from service.schemas import AlignReply, Models, SessionInfo
from service.track.replies import TrackClipReply

Corners = tuple[float, float, float, float]
Checked = TypeVar("Checked", bound=BaseModel)
Line = TypeVar("Line", TrackLine, AffectLine)

JSON, NDJSON, PNG, SVG = "application/json", "application/x-ndjson", "image/png", "image/svg+xml"
# Says that a clip is meant, whatever it is coded as: its bytes tell that.
CLIP_TYPE = "video/*"
PIECE_BYTES = 2**18  # read and sent at once: memory holds no whole clip


class AsyncCountenance:
    """A service at `url`, with the API key that it wants, if any; without `url` in this process.

    The service in this process has no port. Its weights are those of `model_store`, by default
    those installed with the code; a model is loaded when it is first asked, on `device`.

    Methods raise ProblemError for what the service refuses and UnreachableError where none of ours
    answers. `timeout_s` is for one answer, `reconnect_s` for how long live sessions try to go on.
    Pictures are encoded bytes, paths, open files, pictures of Pillow or arrays, uint8 RGB
    `(H, W, 3)`; clips are paths, bytes or open files. Options that are not given are the
    service's defaults.
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
        """Raise ConfigurationError where no model can run in this process, or for a `url` without
        its scheme.
        """
        if url is not None and not url.lower().startswith(("http://", "https://")):
            raise ConfigurationError(f"the address {url!r} has no scheme: write http://{url}")
        store = None if model_store is None else Path(model_store)
        self._local = LocalService(store, device) if url is None else None
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        # In this process the first answer waits for weights to be loaded, too.
        self._timeout_s = timeout_s or (120.0 if self._local is None else 600.0)
        self._file = file = None if self._local is None else self._local.socket
        self._http = httpx.AsyncClient(
            transport=None if file is None else httpx.AsyncHTTPTransport(uds=file),
            base_url=url or ADDRESS,
            headers=self._headers,
            timeout=self._timeout_s,
            follow_redirects=False,
        )
        self._reconnect_s = reconnect_s

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
        include: tuple[Literal["aligned", "denoised"], ...] = (),
        **how: Unpack[AlignKeywords],
    ) -> AlignReply:
        """Find the faces of a picture; `boxes` in its pixels replace the detector."""
        corners = [",".join(map(str, box)) for box in boxes]
        body = await self._post_picture(image, {**how, "boxes": corners, "include": include}, JSON)
        return self._checked(AlignReply, body)

    async def draw(self, image: Picture, **how: Unpack[AlignKeywords]) -> bytes:
        """Draw the faces of a picture on it; return a PNG."""
        return await self._post_picture(image, how, PNG)

    async def track(self, clip: ClipFile, **how: Unpack[TrackClipKeywords]) -> TrackClipReply:
        """Follow the faces of a clip."""
        return self._checked(TrackClipReply, await self._post_clip("track", clip, how, JSON))

    def track_lines(
        self, clip: ClipFile, **how: Unpack[TrackClipKeywords]
    ) -> AsyncGenerator[TrackLine, None]:
        """Follow the faces of a clip, telling as soon as it is known: clip, frames, summary."""
        return self._lines("track", clip, how, track_lines)

    def track_live(
        self, session: str, *, drop: bool = False, ahead: int = 2, **how: Unpack[TrackKeywords]
    ) -> LiveSession[TrackAnswer]:
        """Open a session that follows faces: a context manager that connects when it is entered.

        With `drop` a frame that waits gives way to a newer one and is answered `dropped`: for
        cameras. `ahead` frames may be without a reply at once.
        """
        socket = self._dial(f"track/{_quoted(session)}", {**how, "drop": drop})
        return LiveSession(socket, read_track, self._retries(), ahead, self._timeout_s)

    async def affect(self, clip: ClipFile, **how: Unpack[AffectClipKeywords]) -> AffectClipReply:
        """Estimate valence and arousal over a clip, pictures and sound or one of them."""
        return self._checked(AffectClipReply, await self._post_clip("affect", clip, how, JSON))

    async def affect_photo(
        self, image: Picture, **how: Unpack[AffectPhotoKeywords]
    ) -> PhotographReply:
        """Estimate what every face of a photograph looks like, each by itself."""
        body = await self._post_picture(image, how, JSON, "affect")
        return self._checked(PhotographReply, body)

    def affect_lines(
        self, clip: ClipFile, **how: Unpack[AffectClipKeywords]
    ) -> AsyncGenerator[AffectLine, None]:
        """Estimate over a clip, telling as soon as it is known: clip, frames, summary."""
        return self._lines("affect", clip, how, affect_lines)

    async def plot(self, clip: ClipFile, **how: Unpack[AffectClipKeywords]) -> bytes:
        """Draw valence and arousal over a clip as a timeline; return an SVG."""
        return await self._post_clip("affect", clip, how, SVG)

    def affect_live(
        self, session: str, *, drop: bool = False, ahead: int = 2, **how: Unpack[AffectLiveKeywords]
    ) -> AffectSession[AffectAnswer]:
        """Open a session that estimates valence and arousal from frames and, with `hear`, sound.

        `drop` and `ahead` are those of `track_live`.
        """
        socket = self._dial(f"affect/{_quoted(session)}", {**how, "drop": drop})
        return AffectSession(socket, read_affect, self._retries(), ahead, self._timeout_s)

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

    def _dial(
        self, path: str, query: Mapping[str, object]
    ) -> Callable[[], Awaitable[ClientConnection]]:
        """Return a function that opens a socket at a path."""
        address = self._http.base_url.join(path).copy_merge_params(given(query))

        async def dial() -> ClientConnection:
            await self._start()
            return await open_socket(address, self._headers, self._file)

        return dial

    def _retries(self) -> Retries:
        """Return a new count of failures, for one session."""
        return Retries(str(self._http.base_url), self._reconnect_s)

    async def _start(self) -> None:
        if self._local is not None:
            await self._local.start()

    async def _post_picture(
        self, image: Picture, query: Mapping[str, object], accept: str, path: str = "align"
    ) -> bytes:
        # On a thread: it may read a file or write a PNG, which takes its time.
        data = await asyncio.to_thread(encoded, image)
        how = {"params": given(query), "files": {"image": data}, "headers": {"Accept": accept}}
        return (await self._ask("POST", path, **how)).content

    async def _post_clip(
        self, path: str, clip: ClipFile, query: Mapping[str, object], accept: str
    ) -> bytes:
        with opened(clip) as file:
            return (await self._ask("POST", path, **_upload(file, query, accept))).content

    async def _lines(
        self, path: str, clip: ClipFile, query: Mapping[str, object], lines: Lines[Line]
    ) -> AsyncGenerator[Line, None]:
        await self._start()
        with opened(clip) as file, self._reaching():
            upload = _upload(file, query, NDJSON)
            async with self._http.stream("POST", path, **upload) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal(response)
                async for line in response.aiter_lines():
                    yield lines(line)

    async def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        await self._start()
        with self._reaching():
            response = await self._http.request(method, path, **how)
        if not response.is_success:
            raise refusal(response)
        return response

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Raise what goes wrong on the way to the service as UnreachableError."""
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            said = str(error) or type(error).__name__
            raise UnreachableError(f"no answer from {self._http.base_url}: {said}") from error

    def _checked(self, kind: type[Checked], body: bytes) -> Checked:
        try:
            return kind.model_validate_json(body)
        except InvalidReply as error:
            raise UnreachableError(
                f"{self._http.base_url} gave no answer of ours: {error}"
            ) from error


def _upload(clip: BinaryIO, query: Mapping[str, object], accept: str) -> dict[str, Any]:
    """Make a request whose body is a file, read as it is sent."""

    async def pieces() -> AsyncIterator[bytes]:
        while piece := await asyncio.to_thread(clip.read, PIECE_BYTES):
            yield piece

    headers = {"Accept": accept, "Content-Type": CLIP_TYPE}
    return {"params": given(query), "content": pieces(), "headers": headers}


def _quoted(session: str) -> str:
    return quote(session, safe="")
