"""The gate of the gated unit, taught by degradations alone which modality to lean to.

The thesis lets the gate find its way with the rest. On made clips it hardly moved: a degraded
modality is rare, and C does with what it gets. So the gate learns first, by itself, from faces and
voices good and badly degraded, and holds still while C learns to live with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from handlers.networks.affect import AffectNetworks
from handlers.networks.combiner import GatedUnit
from handlers.networks.variants import FACE, VOICE
from handlers.processing.arrays import Floats, Image
from handlers.processing.degradations import degrade
from handlers.processing.mel import BANDS
from handlers.training.affect.made.bank import STEADY, encode
from handlers.training.affect.made.faces import CROP_PX, MARGIN, moved, tinted
from handlers.training.affect.made.speech import Voices, to_tensor, white, window_at
from handlers.training.datasets.affect.records import AffectFaces
from handlers.training.faces import to_tensor as faces_to_tensor
from handlers.training.loop import Batch, Losses

# Where the mean gate lies when nothing is degraded, and how far it should move away from a
# modality that is, against the same face and voice undegraded.
MIDDLE, FAR = 0.5, 0.25
# How much more counts that the gate stays while all is well, for straying costs C, and that it
# moves for a voice: loud and faint ones are both natural.
REST, VOICES = 6.0, 3.0

# The strong ones of each kind, those that are hard to notice more often.
FACE_HARMS = (("blur", 5.0), ("noise", 0.01), ("blur", 4.0), ("noise", 0.007), ("color", 0.2))


@dataclass(frozen=True, eq=False)
class GateBank:
    """ZQ `(N, planes, 32, 32)` of faces and voices, and of the same badly degraded."""

    face: Tensor
    bad_face: Tensor
    voice: Tensor
    bad_voice: Tensor


def make_gate_bank(
    parts: dict[str, AffectNetworks], faces: AffectFaces, voices: Voices, count: int, seed: int
) -> GateBank:
    """Make the maps of `count` random faces and windows of utterances, each good and degraded."""
    rng = np.random.default_rng([seed, 2])
    crops = [
        tinted(moved(faces.images[i], STEADY, rng, MARGIN), STEADY, rng)
        for i in rng.integers(len(faces), size=count)
    ]
    windows = [_window(voices.powers[i], rng) for i in rng.integers(len(voices), size=count)]
    return gate_bank(parts, crops, windows, rng)


def gate_bank(
    parts: dict[str, AffectNetworks],
    crops: Sequence[Image],
    windows: Sequence[Floats],
    rng: np.random.Generator,
) -> GateBank:
    """Return the maps of good crops `(128, 128, 3)` and Mel power `(128, 128)`, and of both
    degraded."""
    worse_crops = [_worse_face(crop, place, rng) for place, crop in enumerate(crops)]
    worse_windows = [_worse_voice(power, place, rng) for place, power in enumerate(windows)]
    return GateBank(
        _maps(parts, FACE, crops, faces_to_tensor),
        _maps(parts, FACE, worse_crops, faces_to_tensor),
        _maps(parts, VOICE, windows, to_tensor),
        _maps(parts, VOICE, worse_windows, to_tensor),
    )


def _maps(
    parts: dict[str, AffectNetworks],
    modality: str,
    things: Sequence[Any],
    tensor: Callable[[Sequence[Any]], Tensor],
) -> Tensor:
    return encode(
        parts[modality],
        modality,
        np.arange(len(things)),
        lambda part: tensor([things[int(place)] for place in part]),
    )


def _window(power: Floats, rng: np.random.Generator) -> Floats:
    return window_at(power, int(rng.uniform(0.2, 0.8) * power.shape[1]))


def _worse_face(crop: Image, place: int, rng: np.random.Generator) -> Image:
    name, level = FACE_HARMS[place % len(FACE_HARMS)]
    return degrade(crop, name, level, rng, CROP_PX / 1.2)


def _worse_voice(power: Floats, place: int, rng: np.random.Generator) -> Floats:
    """Return a hundredth of the power or, of every third, white noise as loud as the loud parts."""
    if place % 3:
        return np.asarray(power * 0.01, np.float32)
    loud = 1.5 * float(np.percentile(power.sum(axis=0), 90)) / BANDS
    return np.asarray(power + loud * white(power.shape[1], rng), np.float32)


class GateBatches:
    """Draws the same `face` and `voice` good and bad: `bad_face`, `bad_voice`."""

    def __init__(self, bank: GateBank) -> None:
        self.bank = bank

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        bank = self.bank
        face, voice = (
            torch.from_numpy(rng.integers(len(maps), size=size)) for maps in (bank.face, bank.voice)
        )
        return {
            "face": bank.face[face],
            "bad_face": bank.bad_face[face],
            "voice": bank.voice[voice],
            "bad_voice": bank.bad_voice[voice],
        }


class GateLearner(nn.Module):
    """Learns the gate alone."""

    def __init__(self, networks: AffectNetworks) -> None:
        super().__init__()
        self.networks = networks
        networks.requires_grad_(False)
        cast(GatedUnit, networks.fusion).gate.requires_grad_(True)

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Turn maps `(B, planes, 32, 32)` of both modalities, good and bad, into the losses."""
        good, bad_face, bad_voice = (
            self._gate(batch[face], batch[voice])
            for face, voice in (("face", "voice"), ("bad_face", "voice"), ("face", "bad_voice"))
        )
        losses = {
            "rest": (good - MIDDLE).square().mean(),
            "face": short_of(good - bad_face),
            "voice": short_of(bad_voice - good),
        }
        total = REST * losses["rest"] + losses["face"] + VOICES * losses["voice"]
        return {"loss": total, **losses}

    def _gate(self, face: Tensor, voice: Tensor) -> Tensor:
        gate = self.networks.join(face.float(), voice.float()).gate
        assert gate is not None
        return gate


def short_of(moves: Tensor) -> Tensor:
    """Return the mean square of what moves `(B,)` of the mean gate lack to `FAR`."""
    return torch.relu(FAR - moves).square().mean()
