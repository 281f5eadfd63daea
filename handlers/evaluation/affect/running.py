"""Served estimators over labelled clips to traces; faces are found already, all else is as live."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from handlers.evaluation.affect.clips import FACE, VOICE, LabelledClip
from handlers.evaluation.affect.traces import Trace
from handlers.processing.mel import RATE_HZ

if TYPE_CHECKING:
    from handlers.predictors.affect_estimator import Answer, Estimator, Reading
    from handlers.predictors.affect_inputs import Moment
    from handlers.predictors.tracking_state import Memory

# Moments whose faces and windows are held at a time.
HELD = 512
# Sound ahead of a picture that a window may need, and how much is heard at once.
AHEAD_S, STRIDE_S = 1.6, 1.0


def run(
    estimator: "Estimator",
    clips: Sequence[LabelledClip],
    done: Callable[[int], None] = lambda _: None,
) -> list[Trace]:
    """Traces of one estimator over clips, each from its start; `done` hears of moments read."""
    import torch

    traces: list[Trace] = []
    with torch.inference_mode():
        for group in _groups(clips):
            readings = _read(estimator, group)
            traces += _follow(estimator, group, readings)
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


def _read(estimator: "Estimator", clips: Sequence[LabelledClip]) -> "list[list[Reading | None]]":
    """What does not depend on time, of every moment of every clip; equal ones are read once."""
    moments = chain.from_iterable(_moments(estimator, clip) for clip in clips)
    flat: list[Reading | None] = []
    while part := list(islice(moments, HELD)):
        distinct = {(id(moment.face), id(moment.voice)): moment for moment in part}
        readings = dict(zip(distinct, estimator.read(list(distinct.values())), strict=True))
        flat += [readings[id(moment.face), id(moment.voice)] for moment in part]
    found = iter(flat)
    return [list(islice(found, len(clip.times_s))) for clip in clips]


def _moments(estimator: "Estimator", clip: LabelledClip) -> "Iterator[Moment]":
    """What a clip shows and lets hear; sound comes a little ahead of the pictures."""
    from handlers.predictors.affect_inputs import Moment

    sound, heard = estimator.silence(), 0
    for index, time_s in enumerate(clip.times_s.tolist()):
        if clip.pcm is not None and heard < (time_s + AHEAD_S) * RATE_HZ:
            upto = round((time_s + AHEAD_S + STRIDE_S) * RATE_HZ)
            sound = sound.push(clip.pcm[heard:upto], heard).forget_before(time_s)
            heard = upto
        face = clip.faces[index] if estimator.sees else None
        yield Moment(face, estimator.hear(sound, time_s))


def _follow(
    estimator: "Estimator",
    clips: Sequence[LabelledClip],
    readings: "Sequence[Sequence[Reading | None]]",
) -> list[Trace]:
    """Memories of all clips step in lockstep, moment by moment."""
    memories: list[Memory | None] = [None] * len(clips)
    answers: list[list[Answer | None]] = [[None] * len(part) for part in readings]
    for moment in range(max(map(len, readings))):
        rows: list[tuple[int, Reading]] = []
        for row, part in enumerate(readings):
            reading = part[moment] if moment < len(part) else None
            if reading is not None:
                rows.append((row, reading))
        if not rows:
            continue
        found = estimator.step([one for _, one in rows], [memories[row] for row, _ in rows])
        for (row, _), answer in zip(rows, found, strict=True):
            answers[row][moment], memories[row] = answer, answer.memory
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
        estimates[moment] = answer.valence, answer.arousal
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
