"""FV: does the tracker follow a face? Patches around its landmarks answer (eq. 2.6, 4.7)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

N_POINTS = 68
FLATTEST = 0.04  # contrast of a crop in [-1, 1] below which nothing is made of it


class FaceValidator(nn.Module):
    """Small patches at the 68 landmarks, two convolutions shared by all, one linear layer.

    Follows Chrysos et al. (2017): landmarks on a face show lids, nostrils and lips, each in its
    place; on anything else, or beside the face, they do not. Crops are brought to one brightness
    and contrast first: a face in the dark is a face.
    """

    def __init__(
        self,
        patch_px: int = 12,
        channels: tuple[int, int] | list[int] = (8, 2),
        spacing: float = 1.0,
    ) -> None:
        super().__init__()
        first, second = channels
        self.patch_px, self.spacing = patch_px, spacing
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, first, 3), nn.ReLU(), nn.Conv2d(first, second, 3), nn.ReLU()
        )
        self.linear = nn.Linear(N_POINTS * second * (patch_px - 4) ** 2, 1)

    def patches(self, crops: Tensor, points: Tensor) -> Tensor:
        """`(B, 68, 3, P, P)` around `points` `(B, 68, 2)` in pixels of `crops` `(B, 3, S, S)`.

        Sampled bilinearly every `spacing` pixels, centred on the point; grey (0) beyond the crop.
        """
        rows, size, side = len(crops), crops.shape[-1], self.patch_px
        offsets = torch.arange(side, device=points.device, dtype=points.dtype)
        offsets = (offsets - (side - 1) / 2) * self.spacing
        x = points[..., 0, None, None] + offsets
        y = points[..., 1, None, None] + offsets[:, None]
        shape = (rows, N_POINTS, side, side)
        pixels = torch.stack([x.expand(shape), y.expand(shape)], dim=-1)
        grid = (pixels.reshape(rows, N_POINTS * side, side, 2) + 0.5) * (2 / size) - 1
        sampled = grid_sample(crops, grid.to(crops.dtype), align_corners=False)
        return sampled.reshape(rows, -1, N_POINTS, side, side).transpose(1, 2)

    def forward(self, crops: Tensor, points: Tensor) -> Tensor:
        """Logits `(B,)` that landmarks `(B, 68, 2)`, in pixels of the crop, lie on a face.

        Crops are `(B, 3, S, S)` RGB in [-1, 1].
        """
        seen = self.convolutions(self.patches(standardised(crops), points).flatten(0, 1))
        return self.linear(seen.reshape(len(crops), -1))[:, 0]  # type: ignore[no-any-return]

    def probability(self, crops: Tensor, points: Tensor) -> Tensor:
        """p(f | X_t, l_t) in (0, 1), `(B,)`."""
        return torch.sigmoid(self(crops, points).float())


def standardised(crops: Tensor) -> Tensor:
    """Crops `(B, 3, S, S)` less their own mean, over their own standard deviation."""
    mean = crops.mean(dim=(1, 2, 3), keepdim=True)
    spread = crops.std(dim=(1, 2, 3), keepdim=True)
    return (crops - mean) / (spread + FLATTEST)
