"""The internal image denoiser of chapters 3 and 4; with landmark networks, FADeNN and DFA.

Auto-encoders, noise classifiers and selection; equations 3.1 (FADeNN) and 4.8 (DFA).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from handlers.networks.landmarks import LandmarkNetwork

CROP_PX = 128


@dataclass(frozen=True)
class AutoEncoderSize:
    """Channels of the five levels of a 128-pixel crop and width of the bottleneck."""

    channels: tuple[int, int, int, int, int]
    bottleneck: int
    classifier: tuple[int, int]


SIZES = {
    "thesis": AutoEncoderSize((32, 48, 64, 72, 108), 512, (512, 256)),
    "compact": AutoEncoderSize((8, 16, 32, 48, 64), 128, (128, 64)),
    "tiny": AutoEncoderSize((4, 4, 4, 4, 4), 8, (8, 8)),
}


class Encoder(nn.Module):
    """Five 3 x 3 convolutions, each followed by a 2 x 2 max-pooling, and a linear bottleneck.

    `normalised` puts a batch normalisation behind every convolution.
    """

    def __init__(self, size: str, normalised: bool = False) -> None:
        super().__init__()
        spec = SIZES[size]
        widths = (3, *spec.channels)
        self.levels = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=1)
            for inputs, outputs in zip(widths, widths[1:], strict=False)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(outputs) if normalised else nn.Identity() for outputs in spec.channels
        )
        cells = (CROP_PX >> len(spec.channels)) ** 2
        self.bottleneck = nn.Linear(spec.channels[-1] * cells, spec.bottleneck)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Turn `(B, 3, 128, 128)` in [-1, 1] into code `(B, N)` and the map of every level."""
        maps, x = [], image
        for level, norm in zip(self.levels, self.norms, strict=True):
            full = leaky_relu(norm(level(x)), 0.2)
            # Before pooling: the decoder adds it at this resolution.
            maps.append(full)
            x = nn.functional.max_pool2d(full, 2)
        return leaky_relu(self.bottleneck(x.flatten(1)), 0.2), maps


class Decoder(nn.Module):
    """The encoder's mirror: up-sampling, addition of the level's map, 3 x 3 convolution; tanh."""

    def __init__(self, size: str) -> None:
        super().__init__()
        spec = SIZES[size]
        self.side = CROP_PX >> len(spec.channels)
        self.expand = nn.Linear(spec.bottleneck, spec.channels[-1] * self.side**2)
        # A level's input has the width of the encoder's map, which is added before its convolution.
        widths = (*reversed(spec.channels), spec.channels[0])
        self.levels = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=1)
            for inputs, outputs in zip(widths, widths[1:], strict=False)
        )
        self.image = nn.Conv2d(spec.channels[0], 3, 3, padding=1)

    def forward(self, code: Tensor, maps: list[Tensor]) -> Tensor:
        x = leaky_relu(self.expand(code), 0.2)
        x = x.reshape(len(code), -1, self.side, self.side)
        for level, skip in zip(self.levels, reversed(maps), strict=True):
            x = leaky_relu(level(interpolate(x, scale_factor=2.0) + skip), 0.2)
        return torch.tanh(self.image(x))


class DenoisingAutoEncoder(nn.Module):
    """DAE: dec(enc(I)) with additive skips (eq. 3.2, 4.12)."""

    def __init__(self, size: str) -> None:
        super().__init__()
        self.encoder = Encoder(size)
        self.decoder = Decoder(size)

    def forward(self, image: Tensor) -> Tensor:
        """Turn `(B, 3, 128, 128)` in [-1, 1] into its cleaned version, the same shape and range."""
        return self.decoder(*self.encoder(image))  # type: ignore[no-any-return]


class Classified(NamedTuple):
    """Logits `(B, K)` over degradation classes and, from a multi-task classifier, the picture."""

    logits: Tensor
    reconstruction: Tensor | None


class NoiseClassifier(nn.Module):
    """STC, or with `reconstructs` MTC: which degradation a crop suffers from (eq. 3.4-3.5, 4.10).

    The multi-task classifier also reconstructs the crop it sees (eq. 3.10, 4.16), which
    regularises the code that it classifies. Serving skips the reconstruction. The encoder is
    normalised, other than the thesis's: without, it learns to tell blur from noise far slower.
    """

    def __init__(self, size: str, classes: int, reconstructs: bool) -> None:
        super().__init__()
        spec = SIZES[size]
        self.encoder = Encoder(size, normalised=True)
        first, second = spec.classifier
        self.classifier = nn.Sequential(
            nn.Linear(spec.bottleneck, first),
            nn.LeakyReLU(0.2),
            nn.Linear(first, second),
            nn.LeakyReLU(0.2),
            nn.Linear(second, classes),
        )
        self.decoder = Decoder(size) if reconstructs else None

    def classify(self, image: Tensor) -> Tensor:
        """Return logits `(B, K)` alone."""
        code, _ = self.encoder(image)
        return self.classifier(code)  # type: ignore[no-any-return]

    def forward(self, image: Tensor) -> Classified:
        code, maps = self.encoder(image)
        reconstruction = None if self.decoder is None else self.decoder(code, maps)
        return Classified(self.classifier(code), reconstruction)


class Cleaned(NamedTuple):
    """A denoiser's result for a batch: crops, class probabilities `(B, K)`, chosen class `(B,)`."""

    crops: Tensor
    probabilities: Tensor
    chosen: Tensor


class SelectiveDenoiser(nn.Module):
    """IID: the classified degradation's own auto-encoder, clean crops untouched (eq. 3.3-3.6, 4.9).

    `classes` names the degradations, class 0 ("clean") left out; `classifier` is "stc" or "mtc".
    `strength` is the share of a class's auto-encoder in its result, the crop itself is the rest: 1,
    as the thesis has it, for a class that is not named.
    """

    def __init__(
        self,
        size: str,
        classes: tuple[str, ...],
        classifier: str,
        strength: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if unknown := set(strength or ()) - set(classes):
            raise ValueError(f"strength of {sorted(unknown)}: the classes are {list(classes)}")
        self.classes = classes
        self.strengths = tuple((strength or {}).get(name, 1.0) for name in classes)
        self.classifier = NoiseClassifier(size, len(classes) + 1, classifier == "mtc")
        self.denoisers = nn.ModuleList(DenoisingAutoEncoder(size) for _ in classes)

    def forward(self, crops: Tensor) -> Cleaned:
        probabilities = self.classifier.classify(crops).float().softmax(dim=-1)
        chosen = probabilities.argmax(dim=-1)
        return Cleaned(self.clean(crops, chosen), probabilities, chosen)

    def clean(self, crops: Tensor, chosen: Tensor) -> Tensor:
        """Put crops through the denoiser of their class; class 0 passes as it is.

        Every denoiser sees every crop: to pick out its own would need their number, for which a GPU
        would have to stop.
        """
        cleaned = crops
        for index in range(len(self.classes)):
            mine = (chosen == index + 1)[:, None, None, None]
            cleaned = torch.where(mine, self.restore(index, crops).to(crops.dtype), cleaned)
        return cleaned

    def restore(self, index: int, crops: Tensor) -> Tensor:
        """Put crops through the denoiser of `classes[index]`, at its strength."""
        restored: Tensor = self.denoisers[index](crops)
        strength = self.strengths[index]
        return restored if strength == 1 else crops + strength * (restored - crops)


class DirectDenoiser(nn.Module):
    """FADeNN-D's IID: one auto-encoder for every crop, clean or not (eq. 3.2)."""

    classes: tuple[str, ...] = ()

    def __init__(self, size: str) -> None:
        super().__init__()
        self.autoencoder = DenoisingAutoEncoder(size)

    def forward(self, crops: Tensor) -> Cleaned:
        cleaned = self.autoencoder(crops).to(crops.dtype)
        rows = len(crops)
        chosen = torch.zeros(rows, dtype=torch.long, device=crops.device)
        # A single class, of probability 1: who reads the result need not ask for the kind.
        return Cleaned(cleaned, crops.new_ones((rows, 1)), chosen)


def build_denoiser(
    kind: str,
    size: str,
    classes: tuple[str, ...] | list[str] = (),
    strength: Mapping[str, float] | None = None,
) -> DirectDenoiser | SelectiveDenoiser:
    """Build the denoiser of a configuration: `kind` "direct" (-D), "stc" (-S) or "mtc" (-M and
    DFA)."""
    if kind == "direct":
        return DirectDenoiser(size)
    if kind in ("stc", "mtc"):
        return SelectiveDenoiser(size, tuple(classes), kind, strength)
    raise ValueError(f"unknown denoiser {kind!r}: direct, stc or mtc")


class AlignmentNetwork(nn.Module):
    """Either part may be missing: a landmark network alone is FLL or FLE, a denoiser alone IID."""

    def __init__(
        self, landmarks: dict[str, Any] | None = None, denoiser: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.landmarks = None if landmarks is None else LandmarkNetwork(**landmarks)
        self.denoiser = None if denoiser is None else build_denoiser(**denoiser)
