"""Votes of people on faces, learnt by the expression network; batches of them drawn."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from handlers.networks.expressions import ExpressionNetwork, standardise
from handlers.networks.variants import EXPRESSIONS, FACE_PLACES
from handlers.training.affect.expressions.looks import Box, Cutting, cut, vary
from handlers.training.datasets.affect.records import AffectFaces
from handlers.training.loop import Batch, Losses


class ExpressionLearner(nn.Module):
    """Learns the words' shares among the votes, and the mean place of the votes beside them.

    The stem and the first `frozen` blocks stay as they are: edges and textures are the same on
    faces, and learning them takes half of the time.
    """

    def __init__(self, networks: ExpressionNetwork, frozen: int) -> None:
        super().__init__()
        self.networks = networks
        body = networks.body
        self._frozen = [body.stem, *list(body.blocks)[:frozen]] if frozen else []
        for part in self._frozen:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> "ExpressionLearner":
        """What is frozen keeps its normalisation too."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, batch: Batch, progress: float) -> Losses:
        """`faces` `(B, 1, 96, 96)` in [0, 255], `shares` `(B, 8)` -> the losses."""
        shares = batch["shares"]
        seen = self.networks(standardise(batch["faces"]))
        words = -(shares * seen.logits.float().log_softmax(dim=1)).sum(dim=1).mean()
        place = (seen.place.float() - shares @ word_places().to(shares)).square().sum(dim=1).mean()
        return {"loss": words + place, "words": words, "place": place}


class ExpressionBatches:
    """Draws faces, those of rare words more often than they come."""

    def __init__(
        self,
        sets: Sequence[AffectFaces],
        boxes: Sequence[Sequence[Box]],
        cutting: Cutting,
        power: float,
    ) -> None:
        """`boxes` are those of the landmarks of each set's faces; a face whose commonest word is
        that of n others is drawn n to the `power` times as often as one alone."""
        self.sets, self.boxes, self.cutting = sets, boxes, cutting
        words = np.concatenate([faces.shares.argmax(axis=1) for faces in sets])
        counts = np.bincount(words, minlength=len(EXPRESSIONS))
        weights = counts[words].astype(np.float64) ** power
        self.drawn = np.cumsum(weights / weights.sum())
        self.places = [(s, row) for s, faces in enumerate(sets) for row in range(len(faces))]

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """`faces` `(B, 1, 96, 96)` in [0, 255] and `shares` `(B, 8)`."""
        faces, shares = [], []
        for index in np.searchsorted(self.drawn, rng.random(size) * self.drawn[-1]):
            group, row = self.places[index]
            crop = cut(self.sets[group].images[row], self.boxes[group][row], self.cutting, rng)
            faces.append(vary(crop, rng))
            shares.append(self.sets[group].shares[row])
        return {
            "faces": torch.from_numpy(np.stack(faces)).float()[:, None],
            "shares": torch.from_numpy(np.stack(shares)).float(),
        }


def word_places() -> Tensor:
    """Where EXPRESSIONS lie on the circumplex of faces, `(8, 2)`."""
    return torch.tensor([FACE_PLACES[word] for word in EXPRESSIONS])
