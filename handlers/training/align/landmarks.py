"""Learning to find landmarks: FLL and FLE on clean or on degraded crops."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from handlers.networks.denoiser import DirectDenoiser, SelectiveDenoiser
from handlers.networks.landmarks import N_IRISES, HeatmapHead, LandmarkNetwork, RefinedHead
from handlers.processing.arrays import Image
from handlers.processing.landmarks import N_POINTS, bounding_box
from handlers.training.faces import Augmentation, Degrading, FaceBank, to_tensor
from handlers.training.loop import Batch, Losses

IRIS_WEIGHT = 4.0  # of a landmark's: a gaze is a pixel or two


class LandmarkLearner(nn.Module):
    """l1 on the points, and for maps the cross-entropy against a Gaussian at the true point.

    A refined head is held to the points of its maps and to those it makes of them, and to the
    actions where they are known.
    """

    def __init__(
        self, network: LandmarkNetwork, map_weight: float = 0.05, action_weight: float = 0.3
    ) -> None:
        super().__init__()
        self.network = network
        self.map_weight, self.action_weight = map_weight, action_weight

    def forward(self, batch: Batch, progress: float) -> Losses:
        crops, points = batch["crops"], batch["points"]
        maps = self.network.backbone(crops)
        if isinstance(self.network.head, RefinedHead):
            return self.refined(maps, points, batch["actions"], crops.shape[-1])
        return self.losses(maps, points[:, :N_POINTS], crops.shape[-1])

    def losses(self, maps: list[Tensor], points: Tensor, size: int) -> Losses:
        """Return losses of feature maps against true points `(B, 68, 2)`; those outside do not
        count."""
        head = self.network.head
        points, inside = within(points, size)
        if not isinstance(head, HeatmapHead):
            located = head(maps, size)
            loss = laplace(located.points, located.spread, points, inside)
            return {"loss": loss, "l1_px": l1(located.points, points, inside)}
        return self._map_losses(head.log_map(head.pyramid(maps)), points, inside, size)

    def refined(self, maps: list[Tensor], points: Tensor, actions: Tensor, size: int) -> Losses:
        """Return losses of a refined head; unknown points and actions are not a number."""
        head = self.network.head
        assert isinstance(head, RefinedHead)
        features = head.pyramid(maps)
        log_map = head.log_map(features)
        located = head.refine(maps, features, log_map.exp(), size)
        # Sources without irises get unknown ones, so that all have the shape of the maps.
        unknown = points.new_full(
            (len(points), N_POINTS + N_IRISES - points.shape[1], 2), torch.nan
        )
        points, inside = within(torch.cat([points, unknown], dim=1), size)
        weight = inside * inside.new_tensor(N_POINTS * [1.0] + N_IRISES * [IRIS_WEIGHT])
        coarse = self._map_losses(log_map, points, weight, size)
        error = l1(located.points, points[:, :N_POINTS], inside[:, :N_POINTS])
        assert located.actions is not None
        acted = action_loss(located.actions, actions)
        loss = error + 0.5 * coarse["loss"] + self.action_weight * acted
        return {"loss": loss, "l1_px": error, "maps_px": coarse["l1_px"], "actions": acted}

    def _map_losses(self, log_map: Tensor, points: Tensor, inside: Tensor, size: int) -> Losses:
        error = l1(HeatmapHead.integrate(log_map.exp(), size).points, points, inside)
        shape = map_cross_entropy(log_map, points, inside, size)
        return {"loss": error + self.map_weight * shape, "l1_px": error, "maps": shape}


class BehindDenoiser(nn.Module):
    """Learns landmarks of crops of which a share has been through a denoiser, as when serving.

    The denoiser stays as it is.
    """

    def __init__(
        self, network: LandmarkNetwork, denoiser: DirectDenoiser | SelectiveDenoiser, share: float
    ) -> None:
        super().__init__()
        self.landmarks = LandmarkLearner(network)
        self.denoiser = denoiser.requires_grad_(False)
        self.share = share

    def train(self, mode: bool = True) -> "BehindDenoiser":
        super().train(mode)
        self.denoiser.eval()
        return self

    def forward(self, batch: Batch, progress: float) -> Losses:
        rows = int(self.share * len(batch["crops"]))
        with torch.no_grad():
            cleaned = self.denoiser(batch["crops"][:rows]).crops
        crops = torch.cat([cleaned, batch["crops"][rows:]])
        losses: Losses = self.landmarks({**batch, "crops": crops}, progress)
        return losses


class ActionLearner(nn.Module):
    """Learns to tell facial actions; every other layer of the landmark network stays as it is."""

    def __init__(self, network: LandmarkNetwork) -> None:
        super().__init__()
        if not isinstance(network.head, RefinedHead):
            raise ValueError("only a refined head tells facial actions")
        self.network = network.requires_grad_(False)
        self.head.acting.requires_grad_(True)

    @property
    def head(self) -> RefinedHead:
        """The head, which belongs to the network."""
        assert isinstance(self.network.head, RefinedHead)
        return self.network.head

    def train(self, mode: bool = True) -> "ActionLearner":
        super().train(mode)
        self.network.eval()
        self.head.acting.train(mode)
        return self

    def forward(self, batch: Batch, progress: float) -> Losses:
        crops = batch["crops"]
        maps = self.network.backbone(crops)
        features = self.head.pyramid(maps)
        located = self.head.refine(
            maps, features, self.head.log_map(features).exp(), crops.shape[-1]
        )
        assert located.actions is not None
        return {"loss": action_loss(located.actions, batch["actions"])}


def within(points: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return points with 0 for unknown ones, and `(B, N)` 1 for those that lie in the crop."""
    inside = ((points >= 0) & (points <= size - 1)).all(dim=-1)
    # A product with the mask would keep what is not a number.
    return torch.where(inside[..., None], points, 0.0), inside.float()


def l1(found: Tensor, points: Tensor, weight: Tensor) -> Tensor:
    """Return the mean absolute error in pixels over weighted points."""
    return ((found - points).abs().mean(dim=-1) * weight).sum() / weight.sum()


def laplace(found: Tensor, spread: Tensor, points: Tensor, weight: Tensor) -> Tensor:
    """Return the negative log-likelihood of a Laplace distribution whose scale the network
    gives."""
    error = (found - points).abs().sum(dim=-1)
    # Twice the logarithm: x and y share one scale.
    return ((error / spread + 2 * spread.log()) * weight).sum() / weight.sum()


def map_cross_entropy(
    log_map: Tensor, points: Tensor, weight: Tensor, size: int, sigma_cells: float = 1.0
) -> Tensor:
    """Return the cross-entropy of maps `(B, 68, N, N)` against Gaussians around true points in
    pixels."""
    cells = log_map.shape[-1]
    # Middles of cells; pixels are counted from the middle of the first.
    at = (torch.arange(cells, device=log_map.device) + 0.5) * (size / cells) - 0.5
    sigma = sigma_cells * size / cells
    along = torch.softmax(-((at - points[..., None]) ** 2) / (2 * sigma**2), dim=-1)
    # A round Gaussian is the product of one along each axis.
    target = along[:, :, 1, :, None] * along[:, :, 0, None, :]
    entropy = -(target * log_map).sum(dim=(2, 3))
    return (entropy * weight).sum() / weight.sum()


def action_loss(found: Tensor, actions: Tensor) -> Tensor:
    """Smooth l1 over the known actions, each in units of its own spread in this batch."""
    known = actions.isfinite()
    if not known.any():
        # No plain 0: going backward needs a graph.
        return found.sum() * 0
    # Where nothing is known the target is what was found, and teaches nothing.
    target = torch.where(known, actions, found.detach())
    spread = target.std(dim=0).clamp_min(0.03)
    return nn.functional.smooth_l1_loss(found / spread, target / spread)


@dataclass(frozen=True)
class LandmarkBatches:
    """Draws batches of crops and points; with `degrading`, crops are degraded as augmentation."""

    bank: FaceBank
    augmentation: Augmentation
    degrading: Degrading | None = None

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        crops, points, actions = self.bank.draw(rng, size, self.augmentation)
        if self.degrading is not None:
            crops = [self._degrade(crop, p, rng) for crop, p in zip(crops, points, strict=True)]
        return {
            "crops": to_tensor(crops),
            "points": torch.from_numpy(points),
            "actions": torch.from_numpy(actions),
        }

    def _degrade(self, crop: Image, points: np.ndarray, rng: np.random.Generator) -> Image:
        assert self.degrading is not None
        return self.degrading(crop, face_px(points), rng)[0]


def face_px(points: np.ndarray) -> float:
    """Return the side in pixels of the square with the area of the landmarks' box."""
    x1, y1, x2, y2 = bounding_box(points[:N_POINTS])
    return float(np.sqrt((x2 - x1) * (y2 - y1)))
