"""Learning to find landmarks: FLL and FLE on clean or on degraded crops."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from handlers.networks.landmarks import HeatmapHead, LandmarkNetwork
from handlers.processing.landmarks import bounding_box
from handlers.training.augmentation import Augmentation
from handlers.training.faces import Degrading, FaceBank, Image, to_tensor
from handlers.training.loop import Batch, Losses


class LandmarkLearner(nn.Module):
    """l1 on the points, and for maps the cross-entropy against a Gaussian at the true point."""

    def __init__(self, network: LandmarkNetwork, map_weight: float = 0.05) -> None:
        super().__init__()
        self.network = network
        self.map_weight = map_weight

    def forward(self, batch: Batch, progress: float) -> Losses:
        crops, points = batch["crops"], batch["points"]
        maps = self.network.backbone(crops)
        return self.losses(maps, points, crops.shape[-1])

    def losses(self, maps: list[Tensor], points: Tensor, size: int) -> Losses:
        """Losses of feature maps against true points `(B, 68, 2)`; those outside do not count."""
        inside = ((points >= 0) & (points <= size - 1)).all(dim=-1).float()
        head = self.network.head
        if not isinstance(head, HeatmapHead):
            located = head(maps, size)
            loss = laplace(located.points, located.spread, points, inside)
            return {"loss": loss, "l1_px": l1(located.points, points, inside)}
        log_map = head.log_map(maps)
        located = head.integrate(log_map, size)
        error = l1(located.points, points, inside)
        shape = map_cross_entropy(log_map, points, inside, size)
        return {"loss": error + self.map_weight * shape, "l1_px": error, "maps": shape}


def l1(found: Tensor, points: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error in pixels over weighted points."""
    return ((found - points).abs().mean(dim=-1) * weight).sum() / weight.sum()


def laplace(found: Tensor, spread: Tensor, points: Tensor, weight: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace distribution whose scale the network gives."""
    error = (found - points).abs().sum(dim=-1)
    return ((error / spread + 2 * spread.log()) * weight).sum() / weight.sum()


def map_cross_entropy(
    log_map: Tensor, points: Tensor, weight: Tensor, size: int, sigma_cells: float = 1.0
) -> Tensor:
    """Cross-entropy of maps `(B, 68, N, N)` against Gaussians around true points in pixels."""
    cells = log_map.shape[-1]
    at = (torch.arange(cells, device=log_map.device) + 0.5) * (size / cells) - 0.5
    sigma = sigma_cells * size / cells
    along = torch.softmax(-((at - points[..., None]) ** 2) / (2 * sigma**2), dim=-1)
    target = along[:, :, 1, :, None] * along[:, :, 0, None, :]
    entropy = -(target * log_map).sum(dim=(2, 3))
    return (entropy * weight).sum() / weight.sum()


@dataclass(frozen=True)
class LandmarkBatches:
    """Draws batches of crops and points; with `degrading`, crops are degraded as augmentation."""

    bank: FaceBank
    augmentation: Augmentation
    degrading: Degrading | None = None

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        crops, points = self.bank.draw(rng, size, self.augmentation)
        if self.degrading is not None:
            crops = [self._degrade(crop, p, rng) for crop, p in zip(crops, points, strict=True)]
        return {"crops": to_tensor(crops), "points": torch.from_numpy(points)}

    def _degrade(self, crop: Image, points: np.ndarray, rng: np.random.Generator) -> Image:
        assert self.degrading is not None
        return self.degrading(crop, face_px(points), rng)[0]


def face_px(points: np.ndarray) -> float:
    """Side in pixels of the square with the area of the landmarks' box."""
    x1, y1, x2, y2 = bounding_box(points)
    return float(np.sqrt((x2 - x1) * (y2 - y1)))
