"""Labelled clips to moments: what estimators are shown, and what those who listen hear."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from handlers.evaluation.affect.clips import Image, LabelledClip
from handlers.processing.mel import RATE_HZ, REFERENCE, TINY, mel_power, pcm_to_samples
from handlers.processing.mel_stream import MelStream

if TYPE_CHECKING:
    from handlers.predictors.affect.estimator import Estimator
    from handlers.predictors.affect.inputs import Moment, Sound
    from handlers.predictors.affect.speech import SpeechDetector

# Sound ahead of a picture that a window may need, and how much is heard at once.
AHEAD_S, STRIDE_S = 1.6, 1.0


def listeners_of(estimators: "Mapping[str, Estimator]") -> "dict[str, Estimator]":
    """Who listens for each: those of chapters 6 and 7 all hear the same, if they hear."""
    from handlers.predictors.affect.latent import LatentEstimator

    latent = [one for one in estimators.values() if isinstance(one, LatentEstimator)]
    listener = next((one for one in latent if one.hears), None)
    return {
        name: listener if listener is not None and isinstance(one, LatentEstimator) else one
        for name, one in estimators.items()
    }


def moments_of(
    clip: LabelledClip,
    listeners: "Sequence[Estimator]",
    sees: bool,
    detector: "SpeechDetector | None" = None,
) -> "Iterator[dict[Estimator, Moment]]":
    """What a clip shows and lets hear; sound comes a little ahead of the pictures.

    A face that stays is the same object. Without a detector all sound counts as speech.
    """
    from handlers.predictors.affect.inputs import Moment
    from handlers.predictors.affect.speech import SpeechStream

    sounds, heard, gain = {ear: ear.silence() for ear in listeners}, 0, gain_of(clip)
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
        yield {
            ear: Moment(face, None if silent else ear.hear(_amplified(sounds[ear], gain), time_s))
            for ear in listeners
        }


def gain_of(clip: LabelledClip) -> float:
    """The factor of Mel power that brings a clip's 0 dB to the fixed reference."""
    if clip.pcm is None or not clip.own_reference:
        return 1.0
    return REFERENCE / max(float(mel_power(pcm_to_samples(clip.pcm)).max()), TINY)


def _amplified(sound: "Sound", gain: float) -> "Sound":
    """What is heard of Mel power with a gain; descriptors have a scale of their own."""
    if gain == 1 or not isinstance(sound, MelStream):
        return sound
    return replace(sound, power=sound.power * np.float32(gain))


def _same(before: Image | None, now: Image | None) -> Image | None:
    """The face before, where there is no other now."""
    same = before is not None and now is not None and np.array_equal(before, now)
    return before if same else now
