"""Runs of frames with their sound, and the states of their sessions, to affect and next states."""

from collections.abc import Mapping, Sequence

import torch

from handlers.predictors.affect_estimator import Estimator, Reading
from handlers.predictors.affect_run import AffectResult, AffectRow, Run
from handlers.predictors.tracking import TrackingPredictor
from handlers.predictors.tracking_stages import Stopwatch


class AffectPredictor:
    """Every affect model of the thesis, for many sessions at once; keeps nothing of any.

    Sound is heard before the first moment is looked at: a window may reach ahead of its frame as
    far as sound has come.
    """

    def __init__(self, estimators: Mapping[str, Estimator], tracker: TrackingPredictor) -> None:
        self.estimators, self.tracker = dict(estimators), tracker

    @torch.inference_mode()
    def step(self, rows: Sequence[AffectRow]) -> list[AffectResult]:
        """Take every row to its end.

        Faces are followed frame by frame; what needs no time, of all frames of all rows, shares
        batches; memories then step in lockstep. Raises KeyError for an unknown variant.
        """
        clock = Stopwatch()
        runs = [Run(row, self.estimators[row.variant]) for row in rows]
        clock.lap("hear")
        for moment in range(max((len(row.frames) for row in rows), default=0)):
            self._follow([run for run in runs if run.looks_at(moment)], moment)
        clock.lap("track")
        for estimator, group in _by_estimator(runs):
            moments = [moment for run in group for moment in run.moments()]
            readings = iter(estimator.read(moments))
            for run in group:
                run.readings = [next(readings) for _ in run.row.frames]
        clock.lap("read")
        for estimator, group in _by_estimator(runs):
            _remember(estimator, group)
        clock.lap("estimate")
        return [run.conclude(clock.laps_ms) for run in runs]

    def _follow(self, runs: Sequence[Run], moment: int) -> None:
        """The tracker's step of one frame of every run."""
        if not runs:
            return
        results = self.tracker.step(
            [run.frame(moment) for run in runs],
            [run.tracker for run in runs],
            [run.tracking(moment) for run in runs],
        )
        for run, (result, state) in zip(runs, results, strict=True):
            run.tracker = state
            run.faces[moment] = result.faces[0] if result.faces else None


def _by_estimator(runs: Sequence[Run]) -> list[tuple[Estimator, list[Run]]]:
    groups: dict[int, tuple[Estimator, list[Run]]] = {}
    for run in runs:
        groups.setdefault(id(run.estimator), (run.estimator, []))[1].append(run)
    return list(groups.values())


def _remember(estimator: Estimator, runs: Sequence[Run]) -> None:
    """Step the memories of runs in lockstep, moment by moment."""
    for moment in range(max(len(run.readings) for run in runs)):
        read: list[tuple[Run, Reading]] = []
        for run in runs:
            if moment < len(run.readings):
                reading = run.readings[moment]
                if reading is None:
                    run.pass_by(moment)
                else:
                    read.append((run, reading))
        if read:
            answers = estimator.step([one for _, one in read], [run.memory for run, _ in read])
            for (run, reading), answer in zip(read, answers, strict=True):
                run.take(moment, reading, answer)
