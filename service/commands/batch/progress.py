"""A bar on stderr: how many are done, how many a second, how long it will take."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from service.commands.console import err, out


class Rate(ProgressColumn):
    """How many units a second."""

    def render(self, task: Task) -> Text:
        """The speed of the last moments, or of the whole task once it is done."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class ProgressMeter:
    """Counts sources; of one that tells of its own progress, that too."""

    def __init__(self, bar: Progress, what: str, total: int, unit: str) -> None:
        self._bar = bar
        self._unit = unit
        self._all = bar.add_task(what, total=total)
        self._one = bar.add_task("", total=None, visible=False)

    def advance(self) -> None:
        """One source is done."""
        self._bar.advance(self._all)
        self._bar.reset(self._one, visible=False)

    def tick(self, done: float, total: float | None) -> None:
        """So much of the present source is done, of so much."""
        self._bar.update(
            self._one, description=f"  {self._unit}", completed=done, total=total, visible=True
        )


@contextmanager
def show_progress(what: str, total: int, prints: bool, unit: str) -> Iterator[ProgressMeter]:
    """A bar for `total` sources, invisible where it would disturb results that are printed."""
    wanted = err.is_terminal and not (prints and out.is_terminal)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not wanted) as bar:
        yield ProgressMeter(bar, what, total, unit)
