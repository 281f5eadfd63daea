"""Models under harm: one modality gone bad, and voices brought by other channels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import librosa
import numpy as np

from handlers.evaluation.affect.agreement import Agreement, agreement, mean_agreement
from handlers.evaluation.affect.clips import (
    FACE,
    Harm,
    LabelledClip,
    Trace,
    Units,
    joined,
    over_clip,
)
from handlers.evaluation.affect.running import run_all
from handlers.evaluation.metrics import finite_mean
from handlers.predictors.affect.estimator import Estimator
from handlers.predictors.affect.speech import SpeechDetector
from handlers.processing.arrays import Doubles, Floats
from handlers.processing.mel import RATE_HZ, pcm_to_samples
from handlers.training.datasets.affect.speech import mu_law, to_pcm

Channel = Callable[[Floats], Floats]
TELEPHONE_HZ = 8000
AS_IT_IS = "as it is"
SINGLES = ("vi-des", "au-des")
MOVE = 0.1  # of the gate, towards the healthy modality: the least that counts as noticing
STRETCH_S = 3.0  # as long as what is heard around one moment
ALL_HARMS = "all of these"


def amplified(decibels: float) -> Channel:
    """Make a sound louder or fainter by so much; what is too loud is clipped later."""
    factor = np.float32(10 ** (decibels / 20))
    return lambda samples: np.asarray(samples * factor)


def narrow(samples: Floats) -> Floats:
    """Sample a sound at 8 kHz and back."""
    return _from_telephone(_to_telephone(samples))


def companded(samples: Floats) -> Floats:
    """Code a sound at 8 kHz in eight bits by the mu-law, as a telephone has it."""
    return _from_telephone(mu_law(_to_telephone(samples)))


def _to_telephone(samples: Floats) -> Floats:
    return librosa.resample(samples, orig_sr=RATE_HZ, target_sr=TELEPHONE_HZ)


def _from_telephone(samples: Floats | Doubles) -> Floats:
    back = librosa.resample(samples, orig_sr=TELEPHONE_HZ, target_sr=RATE_HZ)
    return np.asarray(back, np.float32)


# One channel of two or six is what is left of a mean over them.
CHANNELS: Mapping[str, Channel] = {
    "20 dB fainter": amplified(-20),
    "20 dB louder": amplified(20),
    "left channel only": amplified(-6.02),
    "centre of 5.1": amplified(-15.56),
    "8 kHz": narrow,
    "8 kHz, mu-law": companded,
}


@dataclass(frozen=True, slots=True)
class ChannelEffect:
    """One row by one way in: the share of moments with a voice, the mean of arousal less its label
    over clips, and the mean change of valence and arousal from the clips as they are."""

    name: str
    channel: str
    voiced: float
    bias: float
    valence: float
    arousal: float


def changes(
    estimators: Mapping[str, Estimator],
    clips: Sequence[LabelledClip],
    plain: Mapping[str, Sequence[Trace]],
    channels: Mapping[str, Channel],
    detector: SpeechDetector | None,
) -> list[ChannelEffect]:
    """Measure every row that hears, by every channel; `plain` are its traces of the clips as they
    are."""
    hearing = {name: one for name, one in estimators.items() if one.hears}
    found = [_change(name, AS_IT_IS, plain[name], plain[name]) for name in hearing]
    for channel, send in channels.items() if hearing else ():
        sent = [_sent(clip, send) for clip in clips]
        traces = run_all(hearing, sent, detector=detector)
        found += [_change(name, channel, plain[name], traces[name]) for name in hearing]
    return found


def _sent(clip: LabelledClip, send: Channel) -> LabelledClip:
    return clip if clip.pcm is None else replace(clip, pcm=to_pcm(send(pcm_to_samples(clip.pcm))))


def _change(
    name: str, channel: str, before: Sequence[Trace], after: Sequence[Trace]
) -> ChannelEffect:
    """Return the mean over clips that have an estimate both times."""
    was, now = (np.concatenate([over_clip(t).estimates for t in part]) for part in (before, after))
    labels = np.concatenate([over_clip(trace).labels for trace in before])
    voiced = float(np.mean(np.concatenate([trace.voice for trace in after])))
    moved = [finite_mean(np.abs(now - was)[:, side]) for side in (0, 1)]
    return ChannelEffect(name, channel, voiced, finite_mean((now - labels)[:, 1]), *moved)


@dataclass(frozen=True, slots=True)
class Survival:
    """Models on clips with one modality destroyed; `better` is the single-modality model with the
    higher mean CCC there, and `margin` by how much each joined model is above it."""

    harm: str
    agreements: Mapping[str, Agreement]
    better: str | None
    margin: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GateMove:
    """The gate's answer to a harm that leaves the modality to be used.

    Clips are harmed as a whole and judged by stretches of about `STRETCH_S`. Over `stretches`
    where both modalities were used before and after: the mean move of the gate towards the healthy
    modality, and the share of them with a mean move of at least `MOVE`. `forced` stretches are left
    out: there the harm closed a side by itself.
    """

    model: str
    harm: str
    modality: str
    strength: str
    stretches: int
    forced: int
    move: float
    noticed: float


def survival(harm: str, models: Mapping[str, Units]) -> Survival:
    """Return the agreement of every model under a harm, and the joined ones against the better
    single one."""
    agreements = {
        name: mean_agreement(agreement(*joined(part)) for part in units.values())
        for name, units in models.items()
    }
    singles = {
        name: agreements[name].average.ccc
        for name in SINGLES
        if name in agreements and np.isfinite(agreements[name].average.ccc)
    }
    better = max(singles, key=singles.__getitem__) if singles else None
    margin = {
        name: found.average.ccc - singles[better]
        for name, found in agreements.items()
        if better is not None and name.startswith("avi-")
    }
    return Survival(harm, agreements, better, margin)


def gate_move(
    model: str, harm: Harm, healthy: Sequence[Trace], harmed: Sequence[Trace]
) -> GateMove:
    """Compare the gate on the same clips, healthy and harmed."""
    sign = -1.0 if harm.modality == FACE else 1.0
    moves, forced = [], 0
    for before, after in zip(healthy, harmed, strict=True):
        there = before.face & before.voice
        both = there & after.face & after.voice
        for part in stretches_of(before):
            if both[part].mean() < 0.5:
                forced += int(there[part].mean() >= 0.5)
            else:
                moved = (after.gate - before.gate)[part][both[part]]
                moves.append(sign * float(moved.mean()))
    values = np.array(moves)
    return GateMove(
        model,
        harm.name,
        harm.modality,
        harm.strength,
        len(moves),
        forced,
        finite_mean(values),
        float((values >= MOVE).mean()) if moves else float("nan"),
    )


def stretches_of(trace: Trace) -> list[slice]:
    """Return a clip in parts of equal length, about `STRETCH_S` each."""
    count = len(trace.times_s)
    seconds = count * float(np.diff(trace.times_s).mean()) if count > 1 else 0.0
    parts = max(min(round(seconds / STRETCH_S), count), 1)
    cuts = np.linspace(0, count, parts + 1).round().astype(int)
    return [slice(begin, end) for begin, end in pairwise(cuts.tolist())]


def together(moves: Sequence[GateMove]) -> GateMove:
    """Return the moves of one model under several harms as one; every stretch counts alike."""
    found = [move for move in moves if move.stretches]
    counts = [move.stretches for move in found]

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=counts)) if counts else float("nan")

    return GateMove(
        moves[0].model,
        ALL_HARMS,
        "",
        "",
        sum(counts),
        sum(move.forced for move in moves),
        mean([move.move for move in found]),
        mean([move.noticed for move in found]),
    )
