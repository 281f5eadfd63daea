"""Who estimates valence and arousal over a clip: the model of this machine, or a service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar

from service.affect.clip import AffectClip
from service.affect.clip_replies import AffectFrameLine, AffectMoment, AffectSummaryLine, Summary
from service.affect.model import AffectModel, AffectOptions
from service.client import AsyncCountenance, ProblemError
from service.client.replies import AffectLine
from service.clips.replies import ClipHead, ClipInfoBody, ClipLine, ClipTail
from service.clips.run import ClipRun, Look
from service.commands.batch.pool import Tick
from service.commands.clips import LIMITS
from service.commands.here import Here
from service.commands.there import LONGEST_WAIT_S, TRIES, There
from service.inference import Inference
from service.media.clips.contents import Sampling
from service.media.clips.process import open_clip
from service.settings import Settings
from service.telemetry.metrics import Metrics

Part = TypeVar("Part", AffectMoment, ClipHead, ClipInfoBody, ClipTail, Summary)

ANSWER_S = 600.0  # a chunk may take so long on a slow machine


class Sink(Protocol):
    """Takes what is found, as it is found."""

    def begin(self, head: ClipHead, clip: ClipInfoBody) -> None:
        """Take what is known before the first frame."""

    def add(self, look: Look[AffectMoment]) -> None:
        """Take one frame."""

    def finish(self, clip: ClipInfoBody, summary: Summary, tail: ClipTail) -> None:
        """Take what is known after the last frame."""


class Estimator(Protocol):
    """Estimates one clip after the other."""

    async def look(self, file: BinaryIO, sink: Sink, tick: Tick) -> None:
        """Tell all of a clip in an open file; raises ServiceError or CallError."""


@dataclass(frozen=True)
class EstimateOptions:
    """How clips are looked at: at most `rate_hz` frames a second."""

    affect: AffectOptions
    rate_hz: float


def choose_estimator(
    where: Here | There, inference: Inference | None, options: EstimateOptions
) -> Estimator:
    """The service that is named, or the model of this machine, opened already."""
    if isinstance(where, There):
        return RemoteEstimator(where, options)
    assert inference is not None
    return LocalEstimator(inference, where.settings(), options)


class LocalEstimator:
    """The model of this machine, by the steps that `POST /affect` makes."""

    def __init__(self, inference: Inference, settings: Settings, options: EstimateOptions) -> None:
        patient = settings.model_copy(update={"inference_timeout_s": ANSWER_S})
        self._model = AffectModel(inference, patient)
        self._options = options

    async def look(self, file: BinaryIO, sink: Sink, tick: Tick) -> None:
        """Read and estimate chunk by chunk."""
        rate_hz = self._options.rate_hz
        asking, begun = AffectClip(self._model, self._options.affect, rate_hz, Metrics()), False
        async with open_clip(file, LIMITS, Sampling(rate_hz=rate_hz)) as clip:
            run = ClipRun(clip, asking.ask, rate_hz)
            async with aclosing(run.looks()) as chunks:
                async for looks in chunks:
                    if not begun:
                        sink.begin(run.head, run.clip)
                        begun = True
                    asking.note([look.frame for look in looks])
                    for look in looks:
                        sink.add(look)
                    tick(looks[-1].frame.time_s, run.clip.duration_s)
            if not begun:
                sink.begin(run.head, run.clip)
            sink.finish(run.clip, asking.summarize(), run.tail)


class RemoteEstimator:
    """A service elsewhere, which tells line by line."""

    def __init__(self, there: There, options: EstimateOptions) -> None:
        self._there = there
        self._options = options

    async def look(self, file: BinaryIO, sink: Sink, tick: Tick) -> None:
        """Send the file and hand on each line."""
        length_s = None
        async with AsyncCountenance(self._there.url, self._there.key) as client:
            async for line in self._lines(client, file):
                if isinstance(line, ClipLine):
                    length_s = line.duration_s
                    sink.begin(_part(ClipHead, line), _part(ClipInfoBody, line))
                elif isinstance(line, AffectSummaryLine):
                    sink.finish(line.clip, _part(Summary, line), _part(ClipTail, line))
                elif isinstance(line, AffectFrameLine):
                    sink.add(Look(_part(AffectMoment, line), None))
                    tick(line.time_s, length_s)

    async def _lines(self, client: AsyncCountenance, file: BinaryIO) -> AsyncIterator[AffectLine]:
        """All lines; a service that wants to be asked later is asked later."""
        for left in reversed(range(TRIES)):
            try:
                async for line in self._ask(client, file):
                    yield line
                return
            except ProblemError as error:
                if error.retry_after is None or not left:
                    raise
                await asyncio.sleep(min(error.retry_after, LONGEST_WAIT_S))

    def _ask(self, client: AsyncCountenance, file: BinaryIO) -> AsyncIterator[AffectLine]:
        file.seek(0)
        return client.affect_lines(
            file,
            rate_hz=self._options.rate_hz,
            variant=self._options.affect.variant,
            min_face_px=self._options.affect.min_face_px,
            max_faces=self._options.affect.max_faces,
        )


def _part(kind: type[Part], line: AffectLine) -> Part:
    """The fields of one of the bodies that a line is made of."""
    return kind.model_construct(**{name: getattr(line, name) for name in kind.model_fields})
