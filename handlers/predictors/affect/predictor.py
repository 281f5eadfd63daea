"""Runs of frames with their sound, and the states of their sessions, to affect and next states."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from typing import Any

from handlers.engines.beside import others
from handlers.predictors.affect.estimator import Estimator, Moment, crop_face
from handlers.predictors.affect.run import (
    AffectResult,
    AffectRow,
    Floats,
    FrameAffect,
    Image,
    RowRun,
    trust,
)
from handlers.predictors.affect.speech import SpeechDetector
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.predictors.tracking.stages import Stopwatch

# Of a clip's run so many frames are encoded while the next ones are tracked.
GROUP = 3


class AffectPredictor:
    """Every affect model, for many sessions at once; keeps nothing of any.

    Sound is heard before the first moment is looked at: a window may reach ahead of its frame as
    far as sound has come.
    """

    def __init__(
        self,
        estimators: Mapping[str, Estimator],
        tracker: TrackingPredictor,
        speech: SpeechDetector,
    ) -> None:
        self.estimators, self.tracker, self.speech = dict(estimators), tracker, speech
        self._others: Callable[[], Executor] = others

    def step(self, rows: Sequence[AffectRow]) -> list[AffectResult]:
        """Take every row to its end.

        Faces are followed frame by frame. What needs no time, of some frames of all rows, shares
        batches, beside the tracker but for the last ones; sound is heard beside it, too. Memories
        then step in lockstep. Raises KeyError for an unknown variant.
        """
        clock = Stopwatch()
        runs = [RowRun(row, self.estimators[row.variant]) for row in rows]
        pool = self._others()
        hearing = pool.submit(self._hear, runs)
        beside: list[Future[Any]] = [hearing]
        groups = _groups(runs)
        try:
            for number, group in enumerate(groups, 1):
                for moment in group:
                    self._follow([run for run in runs if run.looks_at(moment)], moment)
                if number < len(groups):
                    beside.append(pool.submit(_encode, runs, group, hearing))
            clock.lap("track")
            clock.laps_ms["hear"] = hearing.result()
            for group in groups[-1:]:
                _encode(runs, group, hearing)
        finally:
            wait(beside)
        for future in beside:
            future.result()
        clock.lap("encode")
        for estimator, members in _by_estimator(runs):
            _remember(estimator, members)
        clock.lap("estimate")
        return [run.conclude(clock.laps_ms) for run in runs]

    def look(
        self,
        image: Image,
        boxes: Sequence[Floats],
        variant: str,
        landmarks: Sequence[Floats] | None = None,
        actions: Sequence[Floats | None] | None = None,
    ) -> list[FrameAffect]:
        """Faces of a photograph, each by itself; `boxes` `(4,)` are those of their landmarks, which
        `(68, 2)` say how far a face is turned, and `actions` `(40,)` what it does.

        The variant is one that sees; raises KeyError for an unknown one.
        """
        estimator = self.estimators[variant]
        if not boxes:
            return []
        context = estimator.context
        points: Sequence[Floats | None] = landmarks or [None] * len(boxes)
        does: Sequence[Floats | None] = actions or [None] * len(boxes)
        moments = [
            Moment(crop_face(image, box, context, one), actions=done)
            for box, one, done in zip(boxes, points, does, strict=True)
        ]
        readings = [reading for reading in estimator.read(moments) if reading is not None]
        answers = estimator.step(readings, [None] * len(readings), [1.0] * len(readings))
        return [
            FrameAffect(
                0.0,
                answer.valence,
                answer.arousal,
                reading.quadrants,
                used=reading.used,
                expressions=answer.expressions,
                confidence=trust(answer, box),
            )
            for box, reading, answer in zip(boxes, readings, answers, strict=True)
        ]

    def _hear(self, runs: Sequence[RowRun]) -> float:
        """Hear the sound of all rows; returns the milliseconds that took."""
        clock = Stopwatch()
        for run in runs:
            run.hear(self.speech)
        clock.lap("hear")
        return clock.laps_ms["hear"]

    def _follow(self, runs: Sequence[RowRun], moment: int) -> None:
        """The tracker's step of one frame of every run."""
        if not runs:
            return
        results = self.tracker.step(
            [run.frame(moment) for run in runs],
            [run.tracker for run in runs],
            [run.tracking() for run in runs],
            [run.row.times_s[moment] for run in runs],
        )
        for run, (result, state) in zip(runs, results, strict=True):
            run.tracker = state
            run.faces[moment] = result.faces


def _groups(runs: Sequence[RowRun]) -> list[range]:
    """The moments of the longest run, in their order; the last one, which nothing is tracked
    beside, alone."""
    longest = max((len(run.row.frames) for run in runs), default=0)
    last = longest - 1
    early = [range(begin, min(begin + GROUP, last)) for begin in range(0, last, GROUP)]
    return [*early, range(last, longest)] if longest else []


def _encode(runs: Sequence[RowRun], group: range, hearing: Future[float]) -> None:
    """Read some moments of every run once its sound is heard, those of a model in shared batches.

    What waits here for the hearing holds no thread that that needs: it was begun before.
    """
    hearing.result()
    for estimator, members in _by_estimator(runs):
        places = [
            (run, moment, lane, given)
            for run in members
            for moment in group
            if moment < len(run.row.times_s)
            for lane, given in run.moments(moment).items()
        ]
        readings = estimator.read([given for _, _, _, given in places])
        for (run, moment, lane, _), reading in zip(places, readings, strict=True):
            run.readings[moment][lane] = reading


def _by_estimator(runs: Sequence[RowRun]) -> list[tuple[Estimator, list[RowRun]]]:
    groups: dict[int, tuple[Estimator, list[RowRun]]] = {}
    for run in runs:
        groups.setdefault(id(run.estimator), (run.estimator, []))[1].append(run)
    return list(groups.values())


def _remember(estimator: Estimator, runs: Sequence[RowRun]) -> None:
    """Step the memories of all lanes in lockstep, moment by moment; a lane whose moment gives
    nothing to use stays as it is."""
    for moment in range(max(len(run.readings) for run in runs)):
        read = [
            (run, lane, reading)
            for run in runs
            if moment < len(run.readings)
            for lane, reading in run.readings[moment].items()
            if reading is not None
        ]
        if read:
            answers = estimator.step(
                [reading for _, _, reading in read],
                [run.memory(lane) for run, lane, _ in read],
                [run.news(moment, lane) for run, lane, _ in read],
            )
            for (run, lane, reading), answer in zip(read, answers, strict=True):
                run.take(moment, lane, reading, answer)
