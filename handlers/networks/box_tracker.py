"""BT: this frame and the last one, at one box, to a first estimate of the landmarks; and FV.

FV: patches around the landmarks answer whether the tracker follows a face (eq. 2.6, 4.7).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from handlers.networks.inception_resnet import InceptionResNet

N_POINTS = 68
FLATTEST = 0.04  # contrast of a crop in [-1, 1] that is not to be amplified: it is noise
CROP_PX = 128
# The five regions that have a head each, in the order of the 68 points.
REGION_POINTS = {"jaw": 17, "brows": 10, "nose": 9, "eyes": 12, "lips": 20}
State = dict[str, Tensor]


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
        """Return `(B, 68, 3, P, P)` around `points` `(B, 68, 2)` in pixels of `crops`
        `(B, 3, S, S)`.

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
        """Return logits `(B,)` that landmarks `(B, 68, 2)`, in pixels of the crop, lie on a face.

        Crops are `(B, 3, S, S)` RGB in [-1, 1].
        """
        seen = self.convolutions(self.patches(standardised(crops), points).flatten(0, 1))
        return self.linear(seen.reshape(len(crops), -1))[:, 0]  # type: ignore[no-any-return]

    def probability(self, crops: Tensor, points: Tensor) -> Tensor:
        """Return p(f | X_t, l_t) in (0, 1), `(B,)`."""
        return torch.sigmoid(self(crops, points).float())


def standardised(crops: Tensor) -> Tensor:
    """Bring crops `(B, 3, S, S)` to mean 0 and standard deviation about 1, each by itself."""
    mean = crops.mean(dim=(1, 2, 3), keepdim=True)
    spread = crops.std(dim=(1, 2, 3), keepdim=True)
    return (crops - mean) / (spread + FLATTEST)


@dataclass(frozen=True)
class TrackerSize:
    """Widths of the embedding and of both LSTM layers; how the backbone's maps become features.

    `grid` counts the channels kept of the 8 x 8 and of the 4 x 4 map; without it the last map is
    averaged, which at the thesis's size leaves its 1792 features.
    """

    backbone: str
    grid: tuple[int, int] | None
    embedding: int
    hidden: int


# A narrow backbone's average no longer tells where in the crop the face lies, and where is all
# that BT is asked. So the small sizes keep the cells: 8 x 8 x 8 + 4 x 4 x 32 = 1024 features.
SIZES = {
    "thesis": TrackerSize("thesis", None, 1024, 512),
    "compact": TrackerSize("small", (8, 32), 384, 256),
    "tiny": TrackerSize("tiny", (1, 2), 16, 8),
}


class GridFeatures(nn.Module):
    """The two deepest maps, each through a 1 x 1 convolution, cell by cell in one vector."""

    def __init__(self, channels: tuple[int, int], kept: tuple[int, int]) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 1) for inputs, outputs in zip(channels, kept, strict=True)
        )
        cells = ((CROP_PX // 16) ** 2, (CROP_PX // 32) ** 2)
        self.width = sum(count * cell for count, cell in zip(kept, cells, strict=True))

    def forward(self, maps: list[Tensor]) -> Tensor:
        parts = [reduce(x) for reduce, x in zip(self.reduce, maps[-2:], strict=True)]
        return torch.relu(torch.cat([part.flatten(1) for part in parts], dim=1))


class AverageFeatures(nn.Module):
    """The mean of the deepest map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.width = channels

    def forward(self, maps: list[Tensor]) -> Tensor:
        return maps[-1].mean(dim=(2, 3))


class BoxTracker(nn.Module):
    """The recurrent tracker BT (eq. 2.2-2.5, 4.3-4.6); `size` is "thesis" or "compact".

    Both crops are cut at the same box P_b. Points are relative to that box: the crop, `context`
    times as large, is the square from (-1, -1) to (1, 1), and `to_pixels` scales it. The state is
    `h1`, `c1`, `h2`, `c2`, each `(B, hidden)`; nothing else lasts from one step to the next but
    the features of the frame before.
    """

    def __init__(self, size: str) -> None:
        super().__init__()
        spec = SIZES[size]
        self.backbone = InceptionResNet(spec.backbone)
        channels = self.backbone.channels
        self.pool: GridFeatures | AverageFeatures = (
            AverageFeatures(channels[-1])
            if spec.grid is None
            else GridFeatures((channels[-2], channels[-1]), spec.grid)
        )
        self.feature_width, self.hidden = self.pool.width, spec.hidden
        self.embedding = nn.Sequential(nn.Linear(2 * self.feature_width, spec.embedding), nn.ReLU())
        self.lstm1 = nn.LSTM(spec.embedding, spec.hidden, batch_first=True)
        self.lstm2 = nn.LSTM(spec.embedding + spec.hidden, spec.hidden, batch_first=True)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(spec.hidden, count * 2) for name, count in REGION_POINTS.items()}
        )

    def features(self, crops: Tensor) -> Tensor:
        """Compute BT's features: `(B, 3, 128, 128)` in [-1, 1] -> `(B, feature_width)`."""
        return self.pool(self.backbone(crops))  # type: ignore[no-any-return]

    def initial_state(self, rows: int) -> State:
        """Return the state h_0 of `rows` faces at the start of a window: zeros."""
        like = next(self.parameters())
        return {name: like.new_zeros(rows, self.hidden) for name in ("h1", "c1", "h2", "c2")}

    def forward(self, now: Tensor, before: Tensor, state: State) -> tuple[Tensor, State]:
        """Take whole sequences: features `(B, T, F)` of X_t and X_{t-1}, both at step t's box.

        Returns points `(B, T, 68, 2)` and the state after the last step.
        """
        embedded = self.embedding(torch.cat([now, before], dim=-1))
        first, (h1, c1) = self.lstm1(embedded, _layer(state, "h1", "c1"))
        second, (h2, c2) = self.lstm2(
            torch.cat([embedded, first], dim=-1), _layer(state, "h2", "c2")
        )
        state = {"h1": h1[0], "c1": c1[0], "h2": h2[0], "c2": c2[0]}
        return self._points(second), state

    def step(self, now: Tensor, before: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one frame: features `(B, F)` twice -> points `(B, 68, 2)`, the state after it.

        The same as a sequence of one; on a CPU the bare cells take a third of the time.
        """
        embedded = self.embedding(torch.cat([now, before], dim=-1))
        h1, c1 = _cell(self.lstm1, embedded, state["h1"], state["c1"])
        joined = torch.cat([embedded, h1], dim=-1)
        h2, c2 = _cell(self.lstm2, joined, state["h2"], state["c2"])
        return self._points(h2), {"h1": h1, "c1": c1, "h2": h2, "c2": c2}

    def _points(self, hidden: Tensor) -> Tensor:
        """Apply the five heads: `(..., hidden)` -> `(..., 68, 2)`."""
        points = torch.cat([head(hidden) for head in self.heads.values()], dim=-1)
        return points.reshape(*points.shape[:-1], -1, 2)


def to_pixels(points: Tensor, crop_px: int = CROP_PX) -> Tensor:
    """Turn points relative to the crop, (-1, -1) to (1, 1), into pixels, centres whole numbers."""
    return (points + 1) * (crop_px / 2) - 0.5


def from_pixels(points: Tensor, crop_px: int = CROP_PX) -> Tensor:
    """Turn pixels of the crop back into points relative to it, which BT is trained to give."""
    return (points + 0.5) / (crop_px / 2) - 1


def _layer(state: State, hidden: str, cell: str) -> tuple[Tensor, Tensor]:
    """Return one layer's state as `nn.LSTM` takes it, `(1, B, hidden)` each."""
    return state[hidden][None].contiguous(), state[cell][None].contiguous()


def _cell(layer: nn.LSTM, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Take one step of a layer, with its own weights."""
    return torch.lstm_cell(inputs, (hidden, cell), *layer.all_weights[0])
