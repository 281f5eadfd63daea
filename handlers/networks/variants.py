"""The affect systems by name, as configurations of the same few parts; knows no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# The circumplex by the signs of valence and arousal, counter-clockwise from both positive.
QUADRANTS = ("positive-active", "negative-active", "negative-passive", "positive-passive")

# The words of FER+, in the order of the head, with the valence and arousal that raters of faces in
# the wild give to them (after Scherer 2005, as tabled by Paltoglou and Thelwall 2013).
FACE_PLACES: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "happiness": (0.89, 0.17),
    "surprise": (0.40, 0.88),
    "sadness": (-0.81, -0.40),
    "anger": (-0.40, 0.79),
    "disgust": (-0.67, 0.49),
    "fear": (-0.12, 0.79),
    "contempt": (-0.57, 0.66),
}
EXPRESSIONS = tuple(FACE_PLACES)
FACE, VOICE = "face", "voice"
# The speech detector hears chunks of 32 ms at 16 kHz, each with the last samples before it.
SPEECH_CHUNK, SPEECH_CONTEXT = 512, 64
# Two sets of the 25 low-level descriptors of eGeMAPS (5.3.4).
DESCRIPTORS = 50


@dataclass(frozen=True)
class AffectConfig:
    """The parts of an affect model; `asdict` of it is what a checkpoint keeps.

    `modalities` are "face", "voice" or both; two are joined by `fusion`, "concatenate" or "gate",
    the gate's planes being `wider` times those of one modality.
    `recurrent` is the LSTM, `states` the number of past states that attention sees (0: none).
    `generator` False leaves G out, `estimator` is "combiner" (chapters 6, 7) or "discriminator"
    (chapter 5), the latter with `conditioned` given Z and sound descriptors, or without G, D and C
    "expressions" and "voice", see `networks.expressions` and `networks.affect`. `size` is "thesis",
    "compact" or, for tests, "tiny"; `norm` is G's, "instance" or "batch".
    """

    modalities: tuple[str, ...] = (FACE,)
    fusion: str | None = None
    wider: int = 1
    recurrent: bool = False
    states: int = 0
    generator: bool = True
    estimator: str = "combiner"
    conditioned: bool = False
    size: str = "compact"
    norm: str = "instance"

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "AffectConfig":
        """Read what `asdict` gave, also from JSON; an unknown key raises TypeError."""
        return cls(**{**values, "modalities": tuple(values["modalities"])})


_FRAME = AffectConfig()
_FACES = AffectConfig(recurrent=True)
_BOTH = (FACE, VOICE)

# The thesis's systems, and behind them what is ours. Disc to AEG-CD-SZ: chapter 5; ANCLaF: 6; the
# others: 7. Au and Vi differ from Au-De and Vi-De in that they learned from inputs without
# degradations.
VARIANTS: dict[str, AffectConfig] = {
    "disc": AffectConfig(generator=False, estimator="discriminator"),
    "aeg-cd": AffectConfig(estimator="discriminator"),
    "aeg-cd-sz": AffectConfig(estimator="discriminator", conditioned=True),
    "anclaf": _FRAME,
    "anclaf-s": _FACES,
    "anclaf-sa": replace(_FACES, states=8),
    "vi": _FRAME,
    "vi-de": _FRAME,
    "vi-des": replace(_FACES, states=8),
    "au": replace(_FRAME, modalities=(VOICE,)),
    "au-de": replace(_FRAME, modalities=(VOICE,)),
    "au-des": replace(_FACES, modalities=(VOICE,), states=8),
    "avi-cas": replace(_FACES, modalities=_BOTH, states=8, fusion="concatenate"),
    "avi-gas": replace(_FACES, modalities=_BOTH, states=8, fusion="gate", wider=2),
    # Not of the thesis: plainer networks.
    "expressions": AffectConfig(generator=False, estimator="expressions"),
    "voice": AffectConfig(modalities=(VOICE,), generator=False, estimator="voice"),
}


def variant(name: str, size: str = "compact", **changes: Any) -> AffectConfig:
    """Return the configuration of a named variant; raises KeyError for a name that is none."""
    return replace(VARIANTS[name], size=size, **changes)
