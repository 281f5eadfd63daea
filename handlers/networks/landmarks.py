"""Landmarks of a face crop: FLL (eq. 3.7) and FLE (eq. 4.13), a backbone and a head each."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from handlers.networks.action_reader import ActionReader
from handlers.networks.inception_resnet import InceptionResNet
from handlers.networks.senet import SEResNet, conv_norm

N_POINTS = 68
N_IRISES = 2

BACKBONES: dict[str, type[SEResNet] | type[InceptionResNet]] = {
    "senet": SEResNet,
    "inception_resnet": InceptionResNet,
}


class Located(NamedTuple):
    """Landmarks `(B, 68, 2)` and how far each may lie off, `(B, 68)`, in pixels of the crop.

    `actions` `(B, 40)` are the facial actions of `ACTIONS`, about in [0, 1], from a head that
    knows them.
    """

    points: Tensor
    spread: Tensor
    actions: Tensor | None = None


class RegressionHead(nn.Module):
    """The thesis's head: pooled features, one linear layer to coordinates and their spread."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.linear = nn.Linear(channels[-1], N_POINTS * 3)

    def forward(self, maps: list[Tensor], size: int) -> Located:
        pooled = maps[-1].mean(dim=(2, 3))
        x, y, spread = self.linear(pooled).float().reshape(-1, 3, N_POINTS).unbind(1)
        points = torch.stack([x, y], dim=-1)
        return Located((points + 0.5) * size - 0.5, torch.exp(spread) * size / 32)


class HeatmapHead(nn.Module):
    """A top-down pyramid, a map of 1/4 the crop's size for each point, and its mean position.

    Integral regression (Sun et al. 2018): the position is the expectation under the map, so it is
    finer than the map's cells and is learnt by an l1 loss as coordinates are.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.smooth = nn.Sequential(conv_norm(width, width, 3), nn.ReLU())
        self.maps = nn.Conv2d(width, N_POINTS, 1)

    def pyramid(self, maps: list[Tensor]) -> Tensor:
        """Return features `(B, width, H, W)` that all stages of the backbone add to."""
        merged = self.lateral[-1](maps[-1])
        for lateral, feature in zip(
            reversed(list(self.lateral)[:-1]), reversed(maps[:-1]), strict=True
        ):
            merged = interpolate(merged, scale_factor=2.0) + lateral(feature)
        smooth: Tensor = self.smooth(merged)
        return smooth

    def logits(self, features: Tensor) -> Tensor:
        """Return a map `(B, N, H, W)` for each point, before it is normalised."""
        maps: Tensor = self.maps(features)
        return maps

    def log_map(self, features: Tensor) -> Tensor:
        """Return the log-probability `(B, N, H, W)` of each point over the cells of its map."""
        logits = self.logits(features).float()
        flat: Tensor = logits.flatten(2).log_softmax(dim=-1)
        return flat.reshape(logits.shape)

    def probability(self, features: Tensor) -> Tensor:
        """Return the probability `(B, N, H, W)` of each point over the cells of its map."""
        logits = self.logits(features).float()
        flat: Tensor = logits.flatten(2).softmax(dim=-1)
        return flat.reshape(logits.shape)

    @staticmethod
    def integrate(probability: Tensor, size: int) -> Located:
        """Return the mean and standard deviation of each map `(B, N, H, W)`, in pixels of
        the crop."""
        cells, kind = probability.shape[-1], probability.device.type
        at = (torch.arange(cells, device=probability.device) + 0.5) * (size / cells) - 0.5
        # Mixed precision, where a device knows it, would round these products to half a pixel.
        mixed = torch.amp.is_autocast_available(kind)
        with torch.autocast(kind, enabled=False) if mixed else nullcontext():
            # Sums over columns and then over rows: one over all cells would be less exact.
            rows = probability @ torch.stack([torch.ones_like(at), at, at * at], dim=1)
        mass, along_x, squares = rows.unbind(dim=-1)
        points = torch.stack([along_x.sum(dim=-1), (mass * at).sum(dim=-1)], dim=-1)
        squares = squares.sum(dim=-1) + (mass * at * at).sum(dim=-1)
        # Rounding can bring the variance of a map of one cell below nought.
        variance = (squares - points.square().sum(dim=-1)).clamp_min(1e-6)
        return Located(points, variance.sqrt())

    def forward(self, maps: list[Tensor], size: int) -> Located:
        return self.integrate(self.probability(self.pyramid(maps)), size)


class RefinedHead(HeatmapHead):
    """A heat map head that looks at all its points once more together.

    The features under every map (and under two more, of the irises), the points that the maps
    give and the backbone's last map go through two layers to a shift of every point. Then it tells
    what the face does.
    """

    def __init__(self, channels: tuple[int, ...], width: int, hidden: int = 256) -> None:
        super().__init__(channels, width)
        self.irises = nn.Conv2d(width, N_IRISES, 1)
        kept, n_maps = width // 4, N_POINTS + N_IRISES
        self.reduce = nn.Linear(width, kept)
        self.joint = nn.Sequential(
            nn.Linear(n_maps * (kept + 2) + channels[-1], hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.shift = nn.Linear(hidden, N_POINTS * 2)
        self.acting = ActionReader(width)
        nn.init.zeros_(self.shift.weight)
        nn.init.zeros_(self.shift.bias)

    def logits(self, features: Tensor) -> Tensor:
        return torch.cat([self.maps(features), self.irises(features)], dim=1)

    def refine(
        self, maps: list[Tensor], features: Tensor, probability: Tensor, size: int
    ) -> Located:
        """Return landmarks and actions from what lies under the maps."""
        coarse = self.integrate(probability, size)
        under = probability.flatten(2) @ features.flatten(2).transpose(1, 2)
        where = (coarse.points - (size - 1) / 2) / size
        pooled = maps[-1].mean(dim=(2, 3))
        seen = [self.reduce(under).flatten(1).float(), where.flatten(1), pooled.float()]
        hidden = self.joint(torch.cat(seen, dim=1))
        # In 32nds of the crop, so that shifts are numbers of about 1.
        shift = self.shift(hidden).float().reshape(-1, N_POINTS, 2) * (size / 32)
        points = coarse.points[:, :N_POINTS] + shift
        # Actions teach the maps of the irises; where the landmarks lie is not theirs to say.
        known = torch.cat([points.detach(), coarse.points[:, N_POINTS:]], dim=1)
        return Located(points, coarse.spread[:, :N_POINTS], self.acting(known, under))

    def forward(self, maps: list[Tensor], size: int) -> Located:
        features = self.pyramid(maps)
        return self.refine(maps, features, self.probability(features), size)


class LandmarkNetwork(nn.Module):
    """68 landmarks of a square face crop.

    `backbone` is "inception_resnet" (FLL) or "senet" (FLE), `size` "thesis" or "compact", `head`
    "regression" (as the thesis), "heatmap", or "refined", which also tells facial actions.
    """

    head: RegressionHead | HeatmapHead

    def __init__(self, backbone: str, size: str, head: str, head_width: int = 64) -> None:
        super().__init__()
        self.backbone = BACKBONES[backbone](size)
        if head == "heatmap":
            self.head = HeatmapHead(self.backbone.channels, head_width)
        elif head == "refined":
            self.head = RefinedHead(self.backbone.channels, head_width)
        elif head == "regression":
            self.head = RegressionHead(self.backbone.channels)
        else:
            raise ValueError(f"unknown head {head!r}: regression, heatmap or refined")

    def forward(self, crops: Tensor) -> Located:
        """Turn crops `(B, 3, S, S)` RGB in [-1, 1] into points and spread in pixels of the crop."""
        located: Located = self.head(self.backbone(crops), crops.shape[-1])
        return located
