"""Served estimators over labelled clips to traces; faces are found already, all else is as live."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice

import numpy as np

from handlers.evaluation.affect.clips import FACE, VOICE, LabelledClip, Trace
from handlers.evaluation.affect.rows import share_branches
from handlers.predictors.affect.estimator import Answer, Estimator, Moment, Reading
from handlers.predictors.affect.latent import LatentEstimator
from handlers.predictors.affect.run import SMOOTHING_S, share_of_news
from handlers.predictors.affect.speech import SpeechDetector, SpeechStream
from handlers.predictors.tracking.state import Memory
from handlers.processing.arrays import Image
from handlers.processing.mel import RATE_HZ

# Sound ahead of a picture that a window may need, and how much is heard at once.
AHEAD_S, STRIDE_S = 1.6, 1.0
# Moments whose faces, windows and latent maps are held at a time.
HELD = 1024


def listeners_of(estimators: Mapping[str, Estimator]) -> dict[str, Estimator]:
    """Choose the listener of each: those of chapters 6 and 7 all hear the same, if they hear."""
    latent = [one for one in estimators.values() if isinstance(one, LatentEstimator)]
    listener = next((one for one in latent if one.hears), None)
    return {
        name: listener if listener is not None and isinstance(one, LatentEstimator) else one
        for name, one in estimators.items()
    }


def moments_of(
    clip: LabelledClip,
    listeners: Sequence[Estimator],
    sees: bool,
    detector: SpeechDetector | None = None,
) -> Iterator[dict[Estimator, Moment]]:
    """Yield the moments of a clip; sound comes a little ahead of the pictures.

    A face that stays is the same object. Without a detector all sound counts as speech.
    """
    sounds, heard = {ear: ear.silence() for ear in listeners}, 0
    speech = SpeechStream()
    face: Image | None = None
    for index, time_s in enumerate(clip.times_s.tolist()):
        if clip.pcm is not None and heard < (time_s + AHEAD_S) * RATE_HZ:
            upto = round((time_s + AHEAD_S + STRIDE_S) * RATE_HZ)
            piece = clip.pcm[heard:upto]
            for ear in listeners:
                sounds[ear] = sounds[ear].push(piece, heard).forget_before(time_s)
            if detector is not None:
                speech = detector.hear(speech, piece, heard).forget_before(time_s)
            heard = upto
        face = _same(face, clip.faces[index]) if sees else None
        silent = detector is not None and not speech.speaks(time_s)
        done = clip.actions[index] if clip.actions is not None and face is not None else None
        yield {
            ear: Moment(face, None if silent else ear.hear(sounds[ear], time_s), done)
            for ear in listeners
        }


def _same(before: Image | None, now: Image | None) -> Image | None:
    """Return the face before, where there is no other now."""
    same = before is not None and now is not None and np.array_equal(before, now)
    return before if same else now


def run(
    estimator: Estimator,
    clips: Sequence[LabelledClip],
    detector: SpeechDetector | None = None,
) -> list[Trace]:
    """Return traces of one estimator over clips, each from its start."""
    return run_all({"": estimator}, clips, detector=detector)[""]


def run_all(
    estimators: Mapping[str, Estimator],
    clips: Sequence[LabelledClip],
    done: Callable[[int], None] = lambda _: None,
    detector: SpeechDetector | None = None,
) -> dict[str, list[Trace]]:
    """Return traces of named estimators over the same clips; `done` hears of moments that all have
    seen.

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
                branch.clear()
        for name, estimator in estimators.items():
            found = iter(readings[name])
            by_clip = [list(islice(found, len(clip.times_s))) for clip in group]
            traces[name] += _follow(estimator, group, by_clip)
        done(sum(len(clip.times_s) for clip in group))
    return traces


def _groups(clips: Sequence[LabelledClip]) -> Iterator[list[LabelledClip]]:
    """Return clips that go together: many short ones or a long one."""
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
    estimators: Mapping[str, Estimator],
    ears: Mapping[str, Estimator],
    clips: Sequence[LabelledClip],
    detector: SpeechDetector | None,
) -> Iterator[list[dict[Estimator, Moment]]]:
    """Return the moments of some clips as each listener has them, so many at a time."""
    sees = any(one.sees for one in estimators.values())
    listeners = list(dict.fromkeys(ears.values()))
    moments = chain.from_iterable(moments_of(clip, listeners, sees, detector) for clip in clips)
    while part := list(islice(moments, HELD)):
        yield part


def _read(estimator: Estimator, moments: Sequence[Moment]) -> list[Reading | None]:
    """Compute what does not depend on time; moments equal to the estimator are read once."""
    keys = [
        (id(one.face) if estimator.sees else 0, id(one.voice) if estimator.hears else 0)
        for one in moments
    ]
    distinct = dict(zip(keys, moments, strict=True))
    readings = dict(zip(distinct, estimator.read(list(distinct.values())), strict=True))
    return [readings[key] for key in keys]


def _follow(
    estimator: Estimator,
    clips: Sequence[LabelledClip],
    readings: Sequence[Sequence[Reading | None]],
) -> list[Trace]:
    """Step the memories of all clips in lockstep, moment by moment."""
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
            [
                share_of_news(float(clips[row].times_s[moment]) - before_s[row], SMOOTHING_S)
                for row, _ in rows
            ],
        )
        for (row, _), answer in zip(rows, found, strict=True):
            answers[row][moment], memories[row] = answer, answer.memory
            before_s[row] = float(clips[row].times_s[moment])
    return [
        _trace(clip, part, said) for clip, part, said in zip(clips, readings, answers, strict=True)
    ]


def _trace(
    clip: LabelledClip,
    readings: Sequence[Reading | None],
    answers: Sequence[Answer | None],
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
