"""Fusion, then the curriculum over time: each stage starts from the weights of the one before."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from handlers.networks.affect import AffectNetworks
from handlers.networks.combiner import Combiner, GatedUnit
from handlers.networks.variants import AffectConfig
from handlers.training.affect.gating import GateBatches, GateLearner
from handlers.training.affect.losses import affect_loss
from handlers.training.affect.made.studio import Studio
from handlers.training.affect.sequences import FeatureClip, SequenceBatches, SequenceLearner
from handlers.training.loop import Batch, Losses, Schedule, learn
from handlers.training.recipe import take_over

# How much it counts that C keeps what it knows of faces alone.
KEEP = 3.0
# How a running mean begins: logits of how much is new (0.4) and how open the output is (0.95), and
# what makes up for that and for the two hyperbolic tangents on the way.
NEWS, OPEN, LOUDER = -0.4, 3.0, 1.2
GATE_STEPS = 150
# How small a gated unit's planes begin: what is far below 1 a hyperbolic tangent leaves alone.
SMALL = 0.2


class FusionBatches:
    """Draws frames of made clips: `face` and `voice` maps, `has_face`, `has_voice`, `label`."""

    def __init__(self, studio: Studio) -> None:
        clips = studio.clips
        self.faces, self.voices = studio.faces, studio.voices
        self.face = np.concatenate([one.face for one in clips])
        self.voice = np.concatenate([one.voice for one in clips])
        self.has_face = np.concatenate([one.has_face for one in clips])
        self.has_voice = np.concatenate([one.has_voice for one in clips])
        self.labels = np.concatenate([one.clip.labels for one in clips])

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        frames = rng.choice(len(self.labels), size, replace=False)
        return {
            "face": self.faces[self.face[frames]],
            "voice": self.voices[self.voice[frames]],
            "has_face": torch.from_numpy(self.has_face[frames]),
            "has_voice": torch.from_numpy(self.has_voice[frames]),
            "label": torch.from_numpy(self.labels[frames]),
        }


class FusionLearner(nn.Module):
    """Learns fusion, C's convolutions and its single-frame answer; G, D and a gate hold still.

    Of a face alone C should go on thinking what the `single` network of the face does, which has
    learnt from many more faces than made clips show: how far its features stray is a loss.
    """

    def __init__(self, networks: AffectNetworks, single: AffectNetworks) -> None:
        super().__init__()
        self.networks = networks
        self.single = copy.deepcopy(single).requires_grad_(False)
        networks.requires_grad_(True)
        networks.branches.requires_grad_(False)
        if isinstance(networks.fusion, GatedUnit):
            networks.fusion.gate.requires_grad_(False)

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Turn maps `(B, planes, 32, 32)` of both modalities with `label` `(B, 2)` into the
        losses."""
        fused = self.networks.join(
            batch["face"].float(), batch["voice"].float(), batch["has_face"], batch["has_voice"]
        )
        estimate = self.networks.step(self.networks.features(fused.planes), {}).estimate
        label = batch["label"]
        affect = affect_loss(estimate, label, torch.ones_like(label))
        kept = self._strayed(batch)
        return {"loss": affect + KEEP * kept, "affect": affect.detach(), "kept": kept.detach()}

    def train(self, mode: bool = True) -> Self:
        """Set the mode; C's normalisation keeps the statistics that it has of faces."""
        super().train(mode)
        self.networks.combiner.encoder.eval()
        self.single.eval()
        return self

    def _strayed(self, batch: Batch) -> Tensor:
        """Return the mean square of what features of faces alone stray, in shares of their
        variance."""
        face = batch["face"][batch["has_face"]].float()
        if len(face) < 2:
            return face.new_zeros(())
        there = torch.ones(len(face), dtype=torch.bool, device=face.device)
        now = self.networks.features(self.networks.join(face, face, there, ~there).planes).float()
        wanted = self.single.features(self.single.join(face).planes).float()
        return (now - wanted).square().mean() / wanted.var(dim=0).mean().clamp_min(1e-6)


@dataclass(frozen=True)
class CurriculumStage:
    """A step of the curriculum: runs of so many frames, with memory and attention or without.

    The memory learns clips by heart from few faces: hence the low rate, strong dropout and decay.
    """

    frames: int
    steps: int
    memory: bool = True
    attention: bool = False
    batch: int = 64
    rate: float = 1.5e-4
    dropout: float = 0.65
    weight_decay: float = 0.1


def start(config: AffectConfig, parts: dict[str, AffectNetworks]) -> AffectNetworks:
    """Return networks with G and D of trained single-frame ones, and C's convolutions where they
    fit.

    C of both modalities begins as the face's. Without memory: the curriculum adds it.
    """
    first = parts[config.modalities[0]]
    made = replace(config, size=first.config.size, norm=first.config.norm)
    networks = AffectNetworks(replace(made, recurrent=False, states=0))
    for modality in config.modalities:
        branch = networks.branches[modality]
        branch.load_state_dict(parts[modality].branches[modality].state_dict())
    take_over(networks.combiner, first.combiner.state_dict(), "the single-frame model")
    begin_alike(networks, first)
    return networks


@torch.no_grad()
def begin_alike(networks: AffectNetworks, first: AffectNetworks) -> None:
    """Let either fusion begin as about the mean of both maps in front of `first`'s C.

    The gate hands planes on so small that its hyperbolic tangent leaves them as they are, and
    kernels make up for it: half of each in a unit as wide as one modality; the face's to the first
    and the voice's to the second half of a wider one. Side by side, both halves meet the same
    kernels, halved.
    """
    fusion, planes = networks.fusion, networks.planes
    if fusion is None:
        return
    kernels = cast(nn.Conv2d, first.combiner.encoder[0]).weight / 2
    if isinstance(fusion, GatedUnit):
        _hand_on(fusion.face, 0)
        _hand_on(fusion.voice, fusion.planes - planes)
        kernels = 2 * kernels / SMALL
    wide = kernels.repeat(1, fusion.planes // planes, 1, 1)
    cast(nn.Conv2d, networks.combiner.encoder[0]).weight.copy_(wide)


def _hand_on(conv: nn.Conv2d, first: int) -> None:
    """Let a 1 x 1 convolution hand its planes on, `SMALL`, from an output plane on."""
    planes = torch.arange(conv.in_channels)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(cast(Tensor, conv.bias))
    conv.weight[first + planes, planes] = SMALL


@torch.no_grad()
def begin_memory(grown: Combiner, single: Combiner) -> None:
    """Let two of the memory's cells begin as running means of the single-frame answers.

    All others begin at random and unheard. From random cells alone, the memory would learn anew
    from few faces what C's single-frame answer learnt from many.
    """
    memory = grown.recurrence
    assert memory is not None
    hidden = memory.hidden
    grown.answer.weight.zero_()
    grown.answer.bias.zero_()
    for cell in range(grown.answer.out_features):
        entry, forget, candidate, output = (gate * hidden + cell for gate in range(4))
        for row, bias in ((entry, NEWS), (forget, -NEWS), (output, OPEN)):
            memory.inputs.weight[row] = 0
            memory.inputs.bias[row] = bias
            memory.recurrent.weight[row] = 0
        memory.inputs.weight[candidate] = single.answer.weight[cell]
        memory.inputs.bias[candidate] = single.answer.bias[cell]
        memory.recurrent.weight[candidate] = 0
        grown.answer.weight[cell, cell] = LOUDER


def learn_fusion(
    networks: AffectNetworks,
    face: AffectNetworks,
    studio: Studio,
    schedule: Schedule,
    folder: Path,
    resume: bool,
) -> AffectNetworks:
    """Learn a gate, then fusion and C's convolutions, on single frames; `face` is the face's
    single-frame network."""
    if isinstance(networks.fusion, GatedUnit):
        gate = replace(schedule, steps=GATE_STEPS, rate=1e-2, weight_decay=1e-3, average=0.98)
        learn(GateLearner(networks), gate, GateBatches(studio.gate), folder / "gate", resume)
    learn(FusionLearner(networks, face), schedule, FusionBatches(studio), folder, resume)
    return networks


def learn_over_time(
    networks: AffectNetworks,
    config: AffectConfig,
    clips: Sequence[FeatureClip],
    stages: Sequence[CurriculumStage],
    seed: int,
    folder: Path,
    resume: bool,
) -> AffectNetworks:
    """Learn C's memory on the features of clips, stage by stage.

    `config` is what comes out; a stage without attention has none yet. The single-frame answer is
    learnt anew on the same clips where `config` has no memory.
    """
    for number, stage in enumerate(stages):
        states = config.states if stage.attention else 0
        recurrent = config.recurrent and stage.memory
        grown = AffectNetworks(replace(networks.config, recurrent=recurrent, states=states))
        take_over(grown, networks.state_dict(), "the stage before")
        if recurrent and not networks.config.recurrent:
            begin_memory(grown.combiner, networks.combiner)
        schedule = Schedule(
            steps=stage.steps,
            batch=stage.batch,
            rate=stage.rate,
            seed=seed,
            weight_decay=stage.weight_decay,
            warmup=20,
            average=0.99,
            precision="32-true",
        )
        learner = SequenceLearner(grown, stage.dropout)
        batches = SequenceBatches(clips, stage.frames)
        learn(learner, schedule, batches, folder / f"{number}-{stage.frames}", resume)
        networks = grown
    return networks
