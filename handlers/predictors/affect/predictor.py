"""Runs of frames with their sound, and the states of their sessions, to affect and next states."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait

from handlers.engines.choice import others
from handlers.predictors.affect.estimator import Estimator, Moment, crop_face
from handlers.predictors.affect.run import (
    AffectResult,
    AffectRow,
    Describe,
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
Laps = dict[str, float]


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

    def step(
        self, rows: Sequence[AffectRow], describe: Describe | None = None
    ) -> list[AffectResult]:
        """Take every row to its end; `describe` makes the records of its faces.

        Faces are followed frame by frame. All else, of some frames of all rows in shared batches,
        is done beside the tracker; once that is through, what is not begun by then is done here.
        Memories step in lockstep. Raises KeyError for an unknown variant.
        """
        clock = Stopwatch()
        runs = [RowRun(row, self.estimators[row.variant]) for row in rows]
        pool = self._others()
        hearing = pool.submit(self._hear, runs)
        beside: list[Future[Laps]] = [hearing]
        groups = _groups(runs)
        try:
            for number, group in enumerate(groups, 1):
                for moment in group:
                    self._follow([run for run in runs if run.looks_at(moment)], moment)
                if number < len(groups):
                    given = runs, group, describe, hearing, beside[-1]
                    beside.append(pool.submit(_read_beside, *given))
            clock.lap("track")
            rest = groups[len(groups) - 1 :]
            here = [_read(runs, group, describe, hearing) for group in rest]
            while len(beside) > 1 and beside[-1].cancel():
                beside.pop()
                rest.insert(0, groups[len(beside) - 1])
                here.append(_read(runs, rest[0], describe, hearing))
            here += [future.result() for future in beside]
            here += [_estimate(runs, group) for group in rest]
        finally:
            wait(beside)
        laps = Counter(clock.laps_ms)
        for part in here:
            laps.update(part)
        return [run.conclude(dict(laps)) for run in runs]

    def look(
        self,
        image: Image,
        boxes: Sequence[Floats],
        variant: str,
        landmarks: Sequence[Floats] | None = None,
        actions: Sequence[Floats | None] | None = None,
    ) -> list[FrameAffect]:
        """Look at faces of a photograph, each by itself; `boxes` `(4,)` are those of their
        landmarks, which `(68, 2)` say how far a face is turned, and `actions` `(40,)` what it does.

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

    def _hear(self, runs: Sequence[RowRun]) -> Laps:
        """Hear the sound of all rows, and encode what is heard around each moment."""
        clock = Stopwatch()
        for run in runs:
            run.hear(self.speech)
        for estimator, members in _by_estimator(runs):
            for group in _groups(members):
                _listen(estimator, members, group)
        clock.lap("hear")
        return clock.laps_ms

    def _follow(self, runs: Sequence[RowRun], moment: int) -> None:
        """Take the tracker's step of one frame of every run."""
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
    """Return the moments of the longest run, in their order; the last one, which nothing is tracked
    beside, alone."""
    longest = max((len(run.row.frames) for run in runs), default=0)
    last = longest - 1
    early = [range(begin, min(begin + GROUP, last)) for begin in range(0, last, GROUP)]
    return [*early, range(last, longest)] if longest else []


def _read_beside(
    runs: Sequence[RowRun],
    group: range,
    describe: Describe | None,
    hearing: Future[Laps],
    before: Future[Laps],
) -> Laps:
    """Read some moments and estimate them after those `before`.

    What waits here holds no thread that another needs: what it waits for was begun before.
    """
    laps = _read(runs, group, describe, hearing)
    before.result()
    return laps | _estimate(runs, group)


def _read(
    runs: Sequence[RowRun], group: range, describe: Describe | None, hearing: Future[Laps]
) -> Laps:
    """Encode some moments of every run once its sound is heard, and describe their faces."""
    hearing.result()
    clock = Stopwatch()
    for estimator, members in _by_estimator(runs):
        _encode(estimator, members, group)
    if describe is not None:
        _describe(runs, group, describe)
    clock.lap("encode")
    return clock.laps_ms


def _estimate(runs: Sequence[RowRun], group: range) -> Laps:
    """Step the memories of every run through some moments."""
    clock = Stopwatch()
    for estimator, members in _by_estimator(runs):
        for moment in group:
            _remember(estimator, members, moment)
    clock.lap("estimate")
    return clock.laps_ms


def _listen(estimator: Estimator, runs: Sequence[RowRun], group: range) -> None:
    """Encode what is heard around some moments, in one batch."""
    heard = [
        (run, moment, voice)
        for run in runs
        for moment in group
        if moment < len(run.voices) and (voice := run.voices[moment]) is not None
    ]
    encoded = estimator.listen([voice for _, _, voice in heard])
    for (run, moment, _), voice in zip(heard, encoded, strict=True):
        run.voices[moment] = voice


def _encode(estimator: Estimator, runs: Sequence[RowRun], group: range) -> None:
    """Compute, in shared batches, what does not depend on earlier moments."""
    places = [
        (run, moment, lane, given)
        for run in runs
        for moment in group
        if moment < len(run.row.times_s)
        for lane, given in run.moments(moment).items()
    ]
    readings = estimator.read([given for _, _, _, given in places])
    for (run, moment, lane, _), reading in zip(places, readings, strict=True):
        run.readings[moment][lane] = reading


def _describe(runs: Sequence[RowRun], group: range, describe: Describe) -> None:
    """Make the records of the faces that were followed."""
    seen = [
        (run.records[moment], run.frame(moment), face)
        for run in runs
        for moment in group
        if run.looks_at(moment)
        for face in run.faces[moment]
    ]
    records = describe([(frame, face) for _, frame, face in seen])
    for (kept, _, face), record in zip(seen, records, strict=True):
        kept[face.track_id] = record


def _by_estimator(runs: Sequence[RowRun]) -> list[tuple[Estimator, list[RowRun]]]:
    groups: dict[int, tuple[Estimator, list[RowRun]]] = {}
    for run in runs:
        groups.setdefault(id(run.estimator), (run.estimator, []))[1].append(run)
    return list(groups.values())


def _remember(estimator: Estimator, runs: Sequence[RowRun], moment: int) -> None:
    """Step the memories of all lanes; one whose moment gives nothing to use stays as it is."""
    read = [
        (run, lane, reading)
        for run in runs
        if moment < len(run.readings)
        for lane, reading in run.readings[moment].items()
        if reading is not None
    ]
    if not read:
        return
    answers = estimator.step(
        [reading for _, _, reading in read],
        [run.memory(lane) for run, lane, _ in read],
        [run.news(moment, lane) for run, lane, _ in read],
    )
    for (run, lane, reading), answer in zip(read, answers, strict=True):
        run.take(moment, lane, reading, answer)
