"""The same voices by other ways into the machine: how far that moves what is estimated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import soxr  # type: ignore[import-untyped]

from handlers.evaluation.affect.clips import Floats, LabelledClip, to_samples
from handlers.evaluation.affect.running import run_all
from handlers.evaluation.affect.traces import Trace, over_clip
from handlers.processing.mel import RATE_HZ
from handlers.training.datasets.affect.sound import to_pcm

if TYPE_CHECKING:
    from handlers.predictors.affect.estimator import Estimator
    from handlers.predictors.affect.speech import SpeechDetector

Channel = Callable[[Floats], Floats]

TELEPHONE_HZ = 8000
MU = 255.0


def amplified(decibels: float) -> Channel:
    """Louder or fainter by so much; what is too loud is clipped later."""
    factor = np.float32(10 ** (decibels / 20))
    return lambda samples: np.asarray(samples * factor)


def narrow(samples: Floats) -> Floats:
    """Sampled at 8 kHz and back."""
    there = soxr.resample(samples, RATE_HZ, TELEPHONE_HZ)
    return np.asarray(soxr.resample(there, TELEPHONE_HZ, RATE_HZ), np.float32)


def companded(samples: Floats) -> Floats:
    """8 kHz in eight bits by the mu-law, as a telephone has it."""
    there = np.clip(soxr.resample(samples, RATE_HZ, TELEPHONE_HZ), -1, 1)
    steps = np.rint(127 * np.sign(there) * np.log1p(MU * np.abs(there)) / np.log1p(MU)) / 127
    back = np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(MU)) / MU
    return np.asarray(soxr.resample(back, TELEPHONE_HZ, RATE_HZ), np.float32)


# One channel of two or six is what is left of a mean over them.
CHANNELS: Mapping[str, Channel] = {
    "20 dB fainter": amplified(-20),
    "20 dB louder": amplified(20),
    "left channel only": amplified(-6.02),
    "centre of 5.1": amplified(-15.56),
    "8 kHz": narrow,
    "8 kHz, mu-law": companded,
}
AS_IT_IS = "as it is"


@dataclass(frozen=True, slots=True)
class Change:
    """One row by one way in: the share of moments with a voice, the mean of arousal less its label
    over clips, and the mean change of valence and arousal from the clips as they are."""

    name: str
    channel: str
    voiced: float
    bias: float
    valence: float
    arousal: float


def changes(
    estimators: "Mapping[str, Estimator]",
    clips: Sequence[LabelledClip],
    plain: Mapping[str, Sequence[Trace]],
    channels: Mapping[str, Channel],
    detector: "SpeechDetector | None",
) -> list[Change]:
    """Every row that hears, by every channel; `plain` are its traces of the clips as they are."""
    hearing = {name: one for name, one in estimators.items() if one.hears}
    found = [_change(name, AS_IT_IS, plain[name], plain[name]) for name in hearing]
    for channel, send in channels.items() if hearing else ():
        sent = [_sent(clip, send) for clip in clips]
        traces = run_all(hearing, sent, detector=detector)
        found += [_change(name, channel, plain[name], traces[name]) for name in hearing]
    return found


def _sent(clip: LabelledClip, send: Channel) -> LabelledClip:
    return clip if clip.pcm is None else replace(clip, pcm=to_pcm(send(to_samples(clip.pcm))))


def _change(name: str, channel: str, before: Sequence[Trace], after: Sequence[Trace]) -> Change:
    """The mean over clips that have an estimate both times."""
    was, now = (np.concatenate([over_clip(t).estimates for t in part]) for part in (before, after))
    labels = np.concatenate([over_clip(trace).labels for trace in before])
    voiced = float(np.mean(np.concatenate([trace.voice for trace in after])))
    moved = [_mean(np.abs(now - was)[:, side]) for side in (0, 1)]
    return Change(name, channel, voiced, _mean((now - labels)[:, 1]), *moved)


def _mean(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
