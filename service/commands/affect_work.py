"""One clip after the other into valence and arousal, in all forms that are wanted."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from service.commands.affect_forms import FORMS, PLOT, Output, Outputs, affect_csv_header
from service.commands.batch.pool import Emit, Tick
from service.commands.batch.results import Plan, whole_file
from service.commands.batch.sources import Source
from service.commands.clips import open_file
from service.commands.estimators import EstimateOptions, choose_estimator
from service.commands.here import Here
from service.commands.loops import Loop
from service.commands.there import There

MODEL = "affect"


@dataclass(frozen=True)
class AffectJob:
    """How clips become reports of the form `form`, and which files they fill."""

    where: Here | There
    options: EstimateOptions
    form: str
    plan: Plan

    def hire(self) -> "AffectWorker":
        """A worker with a model or a connection of its own; raises ConfigurationError."""
        return AffectWorker(self)


class AffectWorker:
    """Looks at and listens to one clip after the other."""

    def __init__(self, job: AffectJob) -> None:
        self._job = job
        self._loop = Loop(job.where, MODEL)

    def __enter__(self) -> Self:
        self._loop.__enter__()
        inference = self._loop.inference
        self._estimator = choose_estimator(self._job.where, inference, self._job.options)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.__exit__()

    def work(self, source: Source, emit: Emit, tick: Tick) -> None:
        """Write the files of a clip, or emit its report, as its frames are estimated."""
        with ExitStack() as stack:
            outputs = self._outputs(source, emit, stack)
            file = stack.enter_context(open_file(source))
            self._loop.run(self._estimator.look(file, outputs, tick))

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
