"""Served estimators over labelled clips to traces; faces are found already, all else is as live."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from handlers.evaluation.affect.clips import FACE, VOICE, LabelledClip
from handlers.evaluation.affect.moments import listeners_of, moments_of
from handlers.evaluation.affect.sharing import share_branches
from handlers.evaluation.affect.traces import Trace

if TYPE_CHECKING:
    from handlers.predictors.affect.estimator import Answer, Estimator, Reading
    from handlers.predictors.affect.inputs import Moment
    from handlers.predictors.affect.speech import SpeechDetector
    from handlers.predictors.tracking.state import Memory

# Moments whose faces, windows and latent maps are held at a time.
HELD = 1024


def run(
    estimator: "Estimator",
    clips: Sequence[LabelledClip],
    detector: "SpeechDetector | None" = None,
) -> list[Trace]:
    """Traces of one estimator over clips, each from its start."""
    return run_all({"": estimator}, clips, detector=detector)[""]


def run_all(
    estimators: "Mapping[str, Estimator]",
    clips: Sequence[LabelledClip],
    done: Callable[[int], None] = lambda _: None,
    detector: "SpeechDetector | None" = None,
) -> dict[str, list[Trace]]:
    """Traces of named estimators over the same clips; `done` hears of moments that all have seen.

    Without a detector of speech all sound is used. Everything is shown and heard once, and encoded
    once by each branch that several have in common.
    """
    branches = share_branches(estimators.values())
    ears = listeners_of(estimators)
    traces: dict[str, list[Trace]] = {name: [] for name in estimators}
    for group in _groups(clips):
        readings: dict[str, list[Reading | None]] = {name: [] for name in estimators}
        for part in _parts(estimators, ears, group, detector):
            for name, estimator in estimators.items():
                readings[name] += _read(estimator, [one[ears[name]] for one in part])
            for branch in branches:
                branch.forget()
        for name, estimator in estimators.items():
            found = iter(readings[name])
            by_clip = [list(islice(found, len(clip.times_s))) for clip in group]
            traces[name] += _follow(estimator, group, by_clip)
        done(sum(len(clip.times_s) for clip in group))
    return traces


def _groups(clips: Sequence[LabelledClip]) -> Iterator[list[LabelledClip]]:
    """Clips that go together: many short ones or a long one."""
    group: list[LabelledClip] = []
    held = 0
    for clip in clips:
        if group and held + len(clip.times_s) > HELD:
            yield group
            group, held = [], 0
        group.append(clip)
        held += len(clip.times_s)
    if group:
        yield group


def _parts(
    estimators: "Mapping[str, Estimator]",
    ears: "Mapping[str, Estimator]",
    clips: Sequence[LabelledClip],
    detector: "SpeechDetector | None",
) -> "Iterator[list[dict[Estimator, Moment]]]":
    """The moments of some clips as each listener has them, so many at a time."""
    sees = any(one.sees for one in estimators.values())
    listeners = list(dict.fromkeys(ears.values()))
    moments = chain.from_iterable(moments_of(clip, listeners, sees, detector) for clip in clips)
    while part := list(islice(moments, HELD)):
        yield part


def _read(estimator: "Estimator", moments: "Sequence[Moment]") -> "list[Reading | None]":
    """What does not depend on time; moments that are equal to the estimator are read once."""
    keys = [
        (id(one.face) if estimator.sees else 0, id(one.voice) if estimator.hears else 0)
        for one in moments
    ]
    distinct = dict(zip(keys, moments, strict=True))
    readings = dict(zip(distinct, estimator.read(list(distinct.values())), strict=True))
    return [readings[key] for key in keys]


def _follow(
    estimator: "Estimator",
    clips: Sequence[LabelledClip],
    readings: "Sequence[Sequence[Reading | None]]",
) -> list[Trace]:
    """Memories of all clips step in lockstep, moment by moment."""
    memories: list[Memory | None] = [None] * len(clips)
    before_s = [float(clip.times_s[0]) for clip in clips]
    answers: list[list[Answer | None]] = [[None] * len(part) for part in readings]
    for moment in range(max(map(len, readings))):
        rows: list[tuple[int, Reading]] = []
        for row, part in enumerate(readings):
            reading = part[moment] if moment < len(part) else None
            if reading is not None:
                rows.append((row, reading))
        if not rows:
            continue
        found = estimator.step(
            [one for _, one in rows],
            [memories[row] for row, _ in rows],
            [float(clips[row].times_s[moment]) - before_s[row] for row, _ in rows],
        )
        for (row, _), answer in zip(rows, found, strict=True):
            answers[row][moment], memories[row] = answer, answer.memory
            before_s[row] = float(clips[row].times_s[moment])
    return [
        _trace(clip, part, said) for clip, part, said in zip(clips, readings, answers, strict=True)
    ]


def _trace(
    clip: LabelledClip,
    readings: "Sequence[Reading | None]",
    answers: "Sequence[Answer | None]",
) -> Trace:
    count = len(clip.times_s)
    estimates = np.full((count, 2), np.nan, np.float32)
    gate = np.full(count, np.nan, np.float32)
    weights = np.zeros((count, max((len(a.attention) for a in answers if a), default=0)))
    used: list[tuple[str, ...]] = []
    for moment, (reading, answer) in enumerate(zip(readings, answers, strict=True)):
        used.append(() if reading is None else reading.used)
        if reading is None or answer is None:
            continue
        estimates[moment] = [np.nan if one is None else one for one in answer[:2]]
        gate[moment] = np.nan if reading.gate is None else reading.gate
        weights[moment, weights.shape[1] - len(answer.attention) :] = answer.attention
    face, voice = (np.array([name in one for one in used]) for name in (FACE, VOICE))
    return Trace(
        clip.name,
        clip.people,
        clip.times_s,
        clip.labels,
        estimates,
        weights.astype(np.float32),
        gate,
        face,
        voice,
    )
