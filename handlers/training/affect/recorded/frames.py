"""Moments of recordings to batches of single faces or windows of sound, with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.networks.variants import FACE, VOICE
from handlers.processing.mel import WINDOW, Floats
from handlers.training.affect.losses import class_weights
from handlers.training.affect.made.faces import CROP_PX, MARGIN, Moving, moved, relit
from handlers.training.affect.made.speech import Microphone, both_forms, recorded
from handlers.training.affect.made.speech import to_tensor as sound_to_tensor
from handlers.training.affect.recorded.stored import StoredRecording
from handlers.training.datasets.affect.records import soft_quadrants
from handlers.training.faces import Degrading
from handlers.training.faces import to_tensor as faces_to_tensor
from handlers.training.loop import Batch
from handlers.training.recipe import RecipeError

WIDE = WINDOW * 3 // 2  # columns that hold a window however it is stretched


@dataclass(frozen=True, eq=False)
class Moments:
    """Labelled moments of recordings: `place` and `moment` `(N,)`, `labels`, `weights` `(N, 2)`."""

    stored: Sequence[StoredRecording]
    place: NDArray[np.int32]
    moment: NDArray[np.int32]
    labels: Floats
    weights: Floats

    @classmethod
    def of(cls, stored: Sequence[StoredRecording], modality: str, power: float) -> "Moments":
        """Every labelled moment where the modality is there; classes weigh as `class_weights` says.

        Raises RecipeError where there is none.
        """
        there = [
            np.flatnonzero((one.seen if modality == FACE else one.heard) & one.labelled)
            for one in stored
        ]
        if not sum(map(len, there)):
            raise RecipeError(f"the recordings have no labelled moment with a {modality}")
        found = list(zip(stored, there, strict=True))
        labels = np.concatenate([one.labels[moments] for one, moments in found])
        return cls(
            stored,
            np.repeat(np.arange(len(stored), dtype=np.int32), [len(part) for part in there]),
            np.concatenate(there).astype(np.int32),
            labels,
            class_weights(labels, power),
        )

    def draw(
        self, rng: np.random.Generator, size: int
    ) -> tuple[list[tuple[StoredRecording, int]], Batch]:
        """So many moments at random, all as likely, and what is known of them."""
        rows = rng.integers(len(self.labels), size=size)
        labels = self.labels[rows]
        told = {
            "label": torch.from_numpy(labels),
            "weight": torch.from_numpy(self.weights[rows]),
            "quadrant": torch.from_numpy(soft_quadrants(labels)),
        }
        return [(self.stored[self.place[row]], int(self.moment[row])) for row in rows], told


class RecordedFaceBatches:
    """Draws batches for `LatentLearner` from the faces of recordings; nobody gave them words."""

    def __init__(
        self,
        stored: Sequence[StoredRecording],
        moving: Moving,
        degrading: Degrading | None,
        power: float,
    ) -> None:
        self.moments, self.degrading = Moments.of(stored, FACE, power), degrading
        self.moving = moving

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """`clean` and `seen` `(B, 3, 128, 128)` in [-1, 1], `label` and `weight` `(B, 2)`,
        `quadrant` `(B, 4)`."""
        drawn, told = self.moments.draw(rng, size)
        clean, seen = [], []
        for recording, moment in drawn:
            crop = relit(moved(recording.face(moment), self.moving, rng, MARGIN), self.moving, rng)
            clean.append(crop)
            seen.append(
                crop if self.degrading is None else self.degrading(crop, CROP_PX / 1.2, rng)[0]
            )
        return {"clean": faces_to_tensor(clean), "seen": faces_to_tensor(seen), **told}


class RecordedVoiceBatches:
    """Draws batches for `LatentLearner` from what is heard in recordings."""

    def __init__(
        self, stored: Sequence[StoredRecording], microphone: Microphone, power: float
    ) -> None:
        self.moments, self.microphone = Moments.of(stored, VOICE, power), microphone

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """As of faces, of windows centred on the labelled times."""
        drawn, told = self.moments.draw(rng, size)
        clean, seen = [], []
        for recording, moment in drawn:
            window = recorded(recording.power(moment, WIDE), self.microphone, rng, WIDE / 2)
            as_it_is, as_heard = both_forms(window, self.microphone, rng)
            clean.append(as_it_is)
            seen.append(as_heard)
        return {"clean": sound_to_tensor(clean), "seen": sound_to_tensor(seen), **told}
