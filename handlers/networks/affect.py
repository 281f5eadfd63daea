"""The affect networks of chapters 5 to 7, all of the same few parts, and one of the voice alone.

That of the voice is plainer, and better on recordings that none learned from (see
`model_store/voice`).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from handlers.networks import combiner, discriminator, latent
from handlers.networks.combiner import Combiner, Concatenation, Fused, GatedUnit, Memory, Step
from handlers.networks.discriminator import (
    ConditionalDiscriminator,
    Discriminator,
    DiscriminatorInputs,
    Verdict,
)
from handlers.networks.expressions import ExpressionNetwork
from handlers.networks.latent import LATENT_PX, Generator
from handlers.networks.variants import DESCRIPTORS, FACE, QUADRANTS, AffectConfig

EPSILON = 1e-5  # the root of a spread of nought has no gradient
SILENT = -0.95  # columns at the floor of the decibels hold no sound


@dataclass(frozen=True)
class VoiceSize:
    """The number of bands of a window that are read, and the widths of the layers."""

    bands: int = 88
    width: int = 64


SIZES = {"compact": VoiceSize(), "tiny": VoiceSize(width=8)}


class VoiceNetwork(nn.Module):
    """Arousal from two convolutions over time whose channels are the bands up to 4 kHz.

    The head sees the mean and the spread of their maps over the columns with sound.
    """

    def __init__(self, config: AffectConfig) -> None:
        super().__init__()
        self.config = config
        size = SIZES[config.size]
        self.bands = size.bands
        self.layers = nn.Sequential(
            *_layer(size.bands, size.width, 5, 2),
            *_layer(size.width, size.width, 5, 1),
        )
        self.head = nn.Linear(2 * size.width, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Turn level-free windows `(B, 128, 128)` in [-1, 1] into arousal `(B,)` in [-1, 1]."""
        return self.head(self.features(windows)).squeeze(-1).tanh()  # type: ignore[no-any-return]

    def features(self, windows: Tensor) -> Tensor:
        """Turn `(B, 128, 128)` into `(B, 2 width)`."""
        bands = windows[:, : self.bands]
        maps = self.layers(bands)
        loud = F.avg_pool1d((bands.mean(dim=1, keepdim=True) > SILENT).to(maps.dtype), 2)
        total = loud.sum(dim=-1) + EPSILON
        mean = (maps * loud).sum(dim=-1) / total
        spread = ((maps - mean[..., None]).square() * loud).sum(dim=-1) / total
        return torch.cat([mean, (spread + EPSILON).sqrt()], dim=1)


def _layer(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv1d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)


class Branch(nn.Module):
    """G and D of one modality: an input to ZQ, its latent map with its quadrants (eq. 7.1-7.3)."""

    def __init__(self, size: str, norm: str) -> None:
        super().__init__()
        self.generator = Generator(replace(latent.SIZES[size], norm=norm))
        self.discriminator = Discriminator(discriminator.SIZES[size])
        self.planes = self.generator.latent_channels + len(QUADRANTS)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Turn `(B, 3, 128, 128)` in [-1, 1] into ZQ `(B, planes, 32, 32)`, quadrant logits
        `(B, 4)`.

        D reads G's output. The last four planes of ZQ are constant: the quadrants' probabilities.
        """
        z, cleaned = self.generator(inputs)
        logits = self.discriminator.quadrants(cleaned)
        return with_quadrants(z, logits), logits


def with_quadrants(z: Tensor, logits: Tensor) -> Tensor:
    """Turn Z `(B, C, 32, 32)` and quadrant logits `(B, 4)` into ZQ `(B, C + 4, 32, 32)`."""
    probabilities = logits.softmax(dim=-1).to(z.dtype)
    planes = probabilities[:, :, None, None].expand(-1, -1, LATENT_PX, LATENT_PX)
    return torch.cat([z, planes], dim=1)


class AffectNetworks(nn.Module):
    """G and D of every modality, their fusion, and C: chapters 6 and 7.

    The way through is `encode` (each input alone), `join` (the modalities of a frame), `features`
    (C's convolutions) and `step` or `sequence` (C's memory and answer). Everything before `step`
    knows no time: it can be batched over frames, or kept once computed.
    """

    def __init__(self, config: AffectConfig) -> None:
        super().__init__()
        self.config = config
        self.branches = nn.ModuleDict(
            {name: Branch(config.size, config.norm) for name in config.modalities}
        )
        self.planes = latent.SIZES[config.size].latent + len(QUADRANTS)
        self.fusion = _fusion(config, self.planes)
        planes = self.planes if self.fusion is None else self.fusion.planes
        size = combiner.SIZES[config.size]
        self.combiner = Combiner(size, planes, config.recurrent, config.states)

    def encode(self, modality: str, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Turn inputs of one modality `(B, 3, 128, 128)` in [-1, 1] into ZQ, quadrant logits
        `(B, 4)`."""
        return self.branches[modality](inputs)  # type: ignore[no-any-return]

    def join(
        self,
        face: Tensor | None = None,
        voice: Tensor | None = None,
        has_face: Tensor | None = None,
        has_voice: Tensor | None = None,
    ) -> Fused:
        """Turn ZQ of a frame's modalities, `(B, planes, 32, 32)` each, into the maps that C reads.

        `has_face`, `has_voice` `(B,)` bool say which rows are there; without them all are. A
        network of one modality passes that one on and looks at nothing else.
        """
        if self.fusion is None:
            only = face if self.config.modalities == (FACE,) else voice
            if only is None:
                raise ValueError(f"this network needs ZQ of the {self.config.modalities[0]}")
            return Fused(only, None)
        if face is None or voice is None:
            raise ValueError("this network joins face and voice; ZQ of both are needed")
        everywhere = torch.ones(len(face), dtype=torch.bool, device=face.device)
        return self.fusion(  # type: ignore[no-any-return]
            face,
            voice,
            everywhere if has_face is None else has_face,
            everywhere if has_voice is None else has_voice,
        )

    def features(self, planes: Tensor) -> Tensor:
        """Turn the maps that C reads into its features `(B, feature_width)`."""
        return self.combiner.features(planes)

    def initial_memory(self, rows: int) -> Memory:
        """Return the memory of `rows` sequences at their start."""
        return self.combiner.initial_memory(rows)

    def step(self, features: Tensor, memory: Memory) -> Step:
        """Return C's answer to one frame of every sequence, and what it remembers."""
        return self.combiner.step(features, memory)

    def sequence(self, features: Tensor, memory: Memory, present: Tensor | None = None) -> Step:
        """Return C's answers to features `(B, T, feature_width)`; see `Combiner.sequence`."""
        return self.combiner.sequence(features, memory, present)


class ConditionalNetworks(nn.Module):
    """Chapter 5: G, unless left out, and the discriminator that estimates affect itself."""

    def __init__(self, config: AffectConfig) -> None:
        super().__init__()
        self.config = config
        generator = replace(latent.SIZES[config.size], norm=config.norm)
        self.generator = Generator(generator) if config.generator else None
        condition = DiscriminatorInputs()
        if config.conditioned:
            side = latent.INPUT_PX if config.size == "thesis" else LATENT_PX
            condition = DiscriminatorInputs(generator.latent, DESCRIPTORS, side)
        self.discriminator = ConditionalDiscriminator(discriminator.SIZES[config.size], condition)

    def forward(self, image: Tensor, descriptors: Tensor | None = None) -> Verdict:
        """Take faces `(B, 3, 128, 128)` in [-1, 1] and descriptors `(B, 50)`, where asked for."""
        if self.generator is None:
            return self.discriminator(image, None, descriptors)  # type: ignore[no-any-return]
        z, cleaned = self.generator(image)
        return self.discriminator(cleaned, z, descriptors)  # type: ignore[no-any-return]


Networks = AffectNetworks | ConditionalNetworks | ExpressionNetwork | VoiceNetwork


def build(config: AffectConfig) -> Networks:
    """Build the networks of a configuration; raises ValueError where it makes no sense."""
    if config.estimator == "expressions":
        return ExpressionNetwork(config)
    if config.estimator == "voice":
        return VoiceNetwork(config)
    if config.estimator == "discriminator":
        if config.modalities != (FACE,) or (config.conditioned and not config.generator):
            raise ValueError("the discriminator of chapter 5 needs the face, and G for its latent")
        return ConditionalNetworks(config)
    if config.estimator != "combiner" or not config.generator:
        raise ValueError(
            f"estimator is {config.estimator!r}; combiner (with G), discriminator or expressions"
        )
    return AffectNetworks(config)


def _fusion(config: AffectConfig, planes: int) -> Concatenation | GatedUnit | None:
    name, modalities = config.fusion, len(config.modalities)
    if (name is None) != (modalities == 1):
        raise ValueError(f"fusion {name!r} does not fit {modalities} modalities")
    if name is None:
        return None
    if name == "concatenate":
        return Concatenation(planes)
    if name == "gate":
        return GatedUnit(planes, config.wider)
    raise ValueError(f"unknown fusion {name!r}: concatenate or gate")
