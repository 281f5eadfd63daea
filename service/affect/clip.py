"""A clip through the model: chunk after chunk, the state in memory, the next one read meanwhile."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from service.affect.clip_replies import ClipHead, ClipInfoBody, ClipMoment, ClipSoundInfo, ClipTail
from service.affect.model import AffectModel, AffectOptions, Frame
from service.affect.replies import AffectFrame, AffectOutputs
from service.affect.sounds import Sound
from service.errors import Problem, ServiceError
from service.live.replies import RESET
from service.media.clips.contents import ClipChunk, ClipFrame, ClipInfo, ClipTotals, Picture
from service.media.clips.process import Clip

SMALLEST_FACE_PX = 12
Item = TypeVar("Item")


@dataclass(frozen=True)
class Look:
    """One moment: what was found, in the clip's own pixels, and what it was found in."""

    frame: ClipMoment
    picture: Picture | None


class ClipRun:
    """One clip, looked at once; what is known of it as a whole grows meanwhile."""

    def __init__(
        self, clip: Clip, model: AffectModel, options: AffectOptions, rate_hz: float
    ) -> None:
        self._clip = clip
        self._model = model
        self._options = options
        self._rate_hz = rate_hz
        self._state: bytes | None = None
        self._first: AffectOutputs | None = None
        self._notes: dict[str, None] = {}
        self._timings_ms: dict[str, float] = defaultdict(float)
        self._reset = False

    async def looks(self) -> AsyncGenerator[list[Look], None]:
        """Yield the moments of one chunk after the other; raises ServiceError."""
        started = time.perf_counter()
        async with aclosing(ahead(aiter(self._clip))) as chunks:
            async for chunk in chunks:
                self._timings_ms["read"] += _ms_since(started)
                yield await self._look(chunk)
                started = time.perf_counter()

    @property
    def head(self) -> ClipHead:
        """Who answers; known with the first chunk."""
        if (first := self._first) is None:
            raise ServiceError(Problem.EMPTY_CLIP, "nothing in it could be looked at")
        return ClipHead(model=first.model, variant=first.variant, rate_hz=self._rate_hz)

    @property
    def tail(self) -> ClipTail:
        """What is known at the end."""
        status: Any = RESET if self._reset else "ok"
        totals = self._clip.totals
        notes = [*self._notes, *(totals.notes if totals else ())]
        return ClipTail(status=status, notes=notes, timings_ms=dict(self._timings_ms))

    @property
    def clip(self) -> ClipInfoBody:
        """The clip as far as it is known now."""
        return describe_clip(self._clip.info, self._clip.totals)

    async def _look(self, chunk: ClipChunk) -> list[Look]:
        pictures = [frame.picture for frame in chunk.frames]
        frames: list[Frame] = [None if p is None else _on_the_wire(p) for p in pictures]
        times_s = [frame.time_s for frame in chunk.frames]
        sound = None if chunk.sound is None else Sound(chunk.sound.start, chunk.sound.pcm)
        started = time.perf_counter()
        options = self._scaled(pictures)
        pixels = [picture.width * picture.height for picture in pictures if picture is not None]
        step = await self._model.step(frames, times_s, sound, options, self._state, pixels)
        outputs, self._state = step.outputs, step.state
        self._note(outputs, _ms_since(started))
        return [
            Look(_moment(_in_the_clip(found, frame.picture), frame), frame.picture)
            for found, frame in zip(outputs.frames, chunk.frames, strict=True)
        ]

    def _scaled(self, pictures: list[Picture | None]) -> AffectOptions:
        """The options for pictures that may be smaller than the clip's."""
        scale = next((picture.scale for picture in pictures if picture is not None), 1.0)
        smallest = max(SMALLEST_FACE_PX, round(self._options.min_face_px * scale))
        return self._options.model_copy(update={"min_face_px": smallest})

    def _note(self, outputs: AffectOutputs, asked_ms: float) -> None:
        if self._first is None:
            self._first = outputs
        else:
            self._reset = self._reset or outputs.status == RESET
        self._notes |= dict.fromkeys(outputs.notes)
        for stage, milliseconds in (*outputs.timings_ms.items(), ("ask", asked_ms)):
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


def describe_clip(info: ClipInfo, totals: ClipTotals | None) -> ClipInfoBody:
    """Return what is told of a clip; `totals` None while it is being read."""
    sound = info.sound and ClipSoundInfo(
        sample_rate_hz=info.sound.sample_rate_hz,
        channels=info.sound.channels,
        decoded_s=None if totals is None else totals.decoded_sound_s,
        expected_s=info.sound.expected_s,
    )
    return ClipInfoBody(
        format=info.format,
        duration_s=info.duration_s if totals is None else totals.duration_s,
        width=info.width,
        height=info.height,
        rotation_deg=info.rotation_deg,
        decoded_frames=None if totals is None else totals.decoded_frames,
        expected_frames=info.expected_frames if totals is None else totals.expected_frames,
        used_frames=None if totals is None else totals.used_frames,
        sound=sound,
        complete=None if totals is None else totals.complete,
    )


def _on_the_wire(picture: Picture) -> dict[str, Any]:
    shape = [picture.height, picture.width, 3]
    return {"dtype": "uint8", "shape": shape, "data": picture.rgb}


def _in_the_clip(frame: AffectFrame, picture: Picture | None) -> AffectFrame:
    """Bring the box from the picture's pixels to the clip's; pixel centres are whole numbers."""
    if picture is None or picture.scale == 1 or frame.face is None:
        return frame
    x1, y1, x2, y2 = (round((at + 0.5) / picture.scale - 0.5, 3) for at in frame.face.box)
    face = frame.face.model_copy(update={"box": (x1, y1, x2, y2)})
    return frame.model_copy(update={"face": face})


def _moment(found: AffectFrame, frame: ClipFrame) -> ClipMoment:
    return ClipMoment.model_construct(**dict(found), frame=frame.number)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
