"""A clip through a model: chunk after chunk, the state in memory, the next one read meanwhile."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from service.clips.replies import ClipHead, ClipInfoBody, ClipTail, Look, Moment, describe_clip
from service.errors import Problem, ServiceError
from service.live.messages import RESET
from service.media.clips.contents import ClipChunk, Picture
from service.media.clips.process import Clip
from service.schemas import ModelVersion, TrackedFace

SEARCHED_PX = 12  # the smallest face that the detector can look for
Item = TypeVar("Item")


@dataclass(frozen=True)
class Asked(Generic[Moment]):
    """The answer to a chunk: the model's words on each frame, and on itself."""

    frames: Sequence[Moment]
    state: bytes | None
    model: ModelVersion
    variant: str
    status: str
    notes: Sequence[str] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)


# A chunk and the state before it; raises ServiceError.
Ask = Callable[[ClipChunk, bytes | None], Awaitable[Asked[Moment]]]


class ClipRun(Generic[Moment]):
    """One clip, looked at once; what is known of it as a whole grows meanwhile.

    `heard` says whether a voice in it was used: only then is told how far that is to be trusted.
    """

    def __init__(
        self,
        clip: Clip,
        ask: Ask[Moment],
        rate_hz: float | None,
        heard: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clip = clip
        self._heard = heard
        self._ask = ask
        self._rate_hz = rate_hz
        self._state: bytes | None = None
        self._first: Asked[Moment] | None = None
        self._notes: dict[str, None] = {}
        self._timings_ms: dict[str, float] = defaultdict(float)
        self._reset = False

    async def looks(self) -> AsyncGenerator[list[Look[Moment]], None]:
        """Yield the frames of one chunk after the other; raises ServiceError."""
        started = time.perf_counter()
        async with aclosing(ahead(aiter(self._clip))) as chunks:
            async for chunk in chunks:
                self._timings_ms["read"] += ms_since(started)
                yield await self._look(chunk)
                started = time.perf_counter()

    @property
    def head(self) -> ClipHead:
        """The model that answers; known with the first chunk."""
        if (first := self._first) is None:
            raise ServiceError(Problem.EMPTY_CLIP, "nothing in it could be looked at")
        return ClipHead(model=first.model, variant=first.variant, rate_hz=self._rate_hz)

    @property
    def tail(self) -> ClipTail:
        """The part of the reply that is known at the end."""
        status: Any = RESET if self._reset else "ok"
        totals = self._clip.totals
        notes = [*self._notes, *(totals.notes if totals else ())]
        notes += totals.voice_notes if totals and self._heard() else ()
        return ClipTail(status=status, notes=notes, timings_ms=dict(self._timings_ms))

    @property
    def clip(self) -> ClipInfoBody:
        """The clip as far as it is known now."""
        return describe_clip(self._clip.info, self._clip.totals)

    async def _look(self, chunk: ClipChunk) -> list[Look[Moment]]:
        started = time.perf_counter()
        asked = await self._ask(chunk, self._state)
        self._state = asked.state
        self._note(asked, ms_since(started))
        pictures = (frame.picture for frame in chunk.frames)
        return [Look(*pair) for pair in zip(asked.frames, pictures, strict=True)]

    def _note(self, asked: Asked[Moment], asked_ms: float) -> None:
        if self._first is None:
            self._first = asked
        else:
            self._reset = self._reset or asked.status == RESET
        self._notes |= dict.fromkeys(asked.notes)
        for stage, milliseconds in (*asked.timings_ms.items(), ("ask", asked_ms)):
            self._timings_ms[stage] += milliseconds


async def ahead(items: AsyncIterator[Item]) -> AsyncGenerator[Item, None]:
    """Pass items on, asking for the next one while the last one is worked with."""
    reading = asyncio.ensure_future(anext(items, None))
    try:
        while (item := await reading) is not None:
            reading = asyncio.ensure_future(anext(items, None))
            yield item
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await reading


def on_the_wire(picture: Picture) -> dict[str, Any]:
    """Return a picture as models take it without decoding."""
    shape = [picture.height, picture.width, 3]
    return {"dtype": "uint8", "shape": shape, "data": picture.rgb}


def scaled_min_face_px(min_face_px: int, pictures: Sequence[Picture | None]) -> int:
    """Return the smallest face in pictures that may be smaller than the clip's."""
    scale = next((picture.scale for picture in pictures if picture is not None), 1.0)
    return max(SEARCHED_PX, round(min_face_px * scale))


def in_the_clip(face: TrackedFace, scale: float) -> TrackedFace:
    """Bring a face from a picture's pixels to the clip's; pixel centres are whole numbers."""
    if scale == 1:
        return face

    def back(value: float) -> float:
        return round((value + 0.5) / scale - 0.5, 2)

    box = tuple(back(value) for value in face.box)
    landmarks = face.landmarks and [(back(x), back(y)) for x, y in face.landmarks]
    return face.model_copy(update={"box": box, "landmarks": landmarks})


def ms_since(started: float) -> float:
    """Return milliseconds since a time of `time.perf_counter`."""
    return (time.perf_counter() - started) * 1000
