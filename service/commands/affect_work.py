"""One clip after the other into valence and arousal, in all forms that are wanted."""

import asyncio
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import BinaryIO, Self, TypeVar

from service.client import AsyncCountenance
from service.client.replies import AffectLine
from service.clips.replies import ClipHead, ClipInfoBody, ClipLine, ClipTail, Summary, SummaryLine
from service.clips.run import ClipRun, Look
from service.clips.summary import Summarizer
from service.commands.affect_forms import FORMS, PLOT, Output, Outputs, affect_csv_header
from service.commands.clips import LIMITS, open_file
from service.commands.here import Here
from service.commands.results import Plan, whole_file
from service.commands.sources import Source
from service.commands.there import There
from service.commands.work import Emit, Tick
from service.media.clips.contents import Sampling
from service.media.clips.opening import open_clip
from service.streams.affect_model import AffectModel, AffectOptions
from service.streams.affect_replies import AffectFrame

Part = TypeVar("Part", AffectFrame, ClipHead, ClipInfoBody, ClipTail, Summary)

ANSWER_S = 600.0  # a chunk may take so long on a slow machine


@dataclass(frozen=True)
class AffectJob:
    """How clips become reports of the form `form`, and which files they fill."""

    where: Here | There
    options: AffectOptions
    rate_hz: float
    form: str
    plan: Plan

    def hire(self) -> "AffectWorker":
        """A worker with a model or a connection of its own; raises ConfigurationError."""
        return AffectWorker(self)


class AffectWorker:
    """Looks at and listens to one clip after the other."""

    def __init__(self, job: AffectJob) -> None:
        self._job = job
        self._stack = ExitStack()
        self._models = job.where.models("affect") if isinstance(job.where, Here) else None

    def __enter__(self) -> Self:
        if self._models is None:
            self._runner = self._stack.enter_context(asyncio.Runner())
        else:
            self._stack.enter_context(self._models)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def work(self, source: Source, emit: Emit, tick: Tick) -> None:
        """Write the files of a clip, or emit its report, as its frames are estimated."""
        with ExitStack() as stack:
            outputs = self._outputs(source, emit, stack)
            file = stack.enter_context(open_file(source))
            if self._models is None:
                self._runner.run(self._ask(file, outputs, tick))
            else:
                self._models.run(self._estimate(file, outputs, tick))

    def _outputs(self, source: Source, emit: Emit, stack: ExitStack) -> Outputs:
        """The pages of a clip; their files are whole when `stack` is closed without an error."""
        form = self._job.form
        found = []
        for kind, suffix in ((form, f".{form}"), (PLOT, PLOT)):
            path = self._job.plan.path(source, suffix)
            if path is not None:
                text = stack.enter_context(whole_file(path))
                text.write(affect_csv_header() if kind == "csv" else "")
                found.append(Output(FORMS[kind](source.path), text.write))
            elif kind == form:
                found.append(Output(FORMS[kind](source.path), emit))
        return Outputs(found)

    async def _estimate(self, file: BinaryIO, outputs: Outputs, tick: Tick) -> None:
        """By the model of this machine."""
        assert self._models is not None
        assert isinstance(self._job.where, Here)
        settings = self._job.where.settings().model_copy(update={"inference_timeout_s": ANSWER_S})
        model = AffectModel(self._models.inference, settings)
        summarizer = Summarizer(self._job.rate_hz)
        async with open_clip(file, LIMITS, Sampling(rate_hz=self._job.rate_hz)) as clip:
            run = ClipRun(clip, model, self._job.options, self._job.rate_hz)
            begun = 0
            async with aclosing(run.looks()) as chunks:
                async for looks in chunks:
                    if not begun:
                        outputs.begin(run.head, run.clip)
                    begun += len(looks)
                    for look in looks:
                        summarizer.add(look.frame)
                        outputs.add(look)
                        tick(look.frame.time_s, run.clip.duration_s)
            if not begun:
                outputs.begin(run.head, run.clip)
            outputs.finish(run.clip, summarizer.summary(), run.tail)

    async def _ask(self, file: BinaryIO, outputs: Outputs, tick: Tick) -> None:
        """By a service elsewhere."""
        assert isinstance(self._job.where, There)
        options = self._job.options
        async with AsyncCountenance(self._job.where.url, self._job.where.key) as client:
            length_s = None
            async for line in client.affect_lines(
                file,
                rate_hz=self._job.rate_hz,
                variant=options.variant,
                min_face_px=options.min_face_px,
            ):
                if isinstance(line, ClipLine):
                    length_s = line.duration_s
                    outputs.begin(_part(ClipHead, line), _part(ClipInfoBody, line))
                elif isinstance(line, SummaryLine):
                    outputs.finish(line.clip, _part(Summary, line), _part(ClipTail, line))
                else:
                    outputs.add(Look(_part(AffectFrame, line), None))
                    tick(line.time_s, length_s)


def _part(kind: type[Part], line: AffectLine) -> Part:
    """The fields of one of the bodies that a line is made of."""
    return kind.model_construct(**{name: getattr(line, name) for name in kind.model_fields})
