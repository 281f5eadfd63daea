"""Learning to denoise: the internal image denoiser alone, then together with the landmarks."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from handlers.networks.denoiser import DirectDenoiser, SelectiveDenoiser
from handlers.networks.landmarks import LandmarkNetwork
from handlers.training.align.landmarks import LandmarkLearner, face_px
from handlers.training.faces import Augmentation, Degrading, FaceBank, to_tensor
from handlers.training.loop import Batch, Losses

Denoiser = DirectDenoiser | SelectiveDenoiser


@dataclass(frozen=True)
class DenoisingBatches:
    """Draws degraded crops with their clean versions, classes and landmarks."""

    bank: FaceBank
    augmentation: Augmentation
    degrading: Degrading

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        clean, points, actions = self.bank.draw(rng, size, self.augmentation)
        pairs = [
            self.degrading(crop, face_px(where), rng)
            for crop, where in zip(clean, points, strict=True)
        ]
        return {
            "crops": to_tensor([crop for crop, _ in pairs]),
            "classes": torch.tensor([label for _, label in pairs]),
            "clean": to_tensor(clean),
            "points": torch.from_numpy(points),
            "actions": torch.from_numpy(actions),
            "stray": torch.from_numpy(rng.random(size, dtype=np.float32)),
        }


class DenoiserLearner(nn.Module):
    """L_IID: eq. 3.8 for a direct denoiser, eq. 3.9, 3.10 and 4.16-4.17 for a selective one.

    The targets are the clean crop and the true class.
    """

    def __init__(self, denoiser: Denoiser, classify: float = 0.5, reconstruct: float = 0.5) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.classify, self.reconstruct = classify, reconstruct

    def forward(self, batch: Batch, progress: float) -> Losses:
        losses, _ = self.learn(batch)
        return losses

    def learn(self, batch: Batch, wander: float = 0.0) -> tuple[Losses, Tensor]:
        """Return losses and the cleaned crops.

        A share `wander` of the crops goes where the classifier sends it, as in serving, and the
        others where they belong.
        """
        crops, clean = batch["crops"], batch["clean"]
        if isinstance(self.denoiser, DirectDenoiser):
            cleaned = self.denoiser(crops).crops.float()
            image = mse_loss(cleaned, clean)
            return {"loss": image, "image": image}, cleaned
        classified = self.denoiser.classifier(crops)
        classes = batch["classes"]
        entropy = cross_entropy(classified.logits.float(), classes)
        strays = batch["stray"] < wander
        routed = torch.where(strays, classified.logits.argmax(dim=-1), classes)
        cleaned = self.denoiser.clean(crops, routed)
        image = mse_loss(cleaned, clean)
        loss = self.classify * entropy + image
        if classified.reconstruction is not None:
            loss = loss + self.reconstruct * mse_loss(classified.reconstruction.float(), clean)
        accuracy = (classified.logits.argmax(dim=-1) == classes).float().mean()
        return {"loss": loss, "image": image, "entropy": entropy, "accuracy": accuracy}, cleaned


class JointLearner(nn.Module):
    """L_DFA = lambda1 landmarks + lambda2 L_IID with the schedule of section 4.3.5 (eq. 4.15).

    lambda1 climbs from 0.25 to 0.5 by steps of 0.1 while lambda2 falls from 0.75 to 0.5.
    `point_weight` brings errors in pixels to the size of squared intensities in [-1, 1].
    """

    def __init__(
        self, network: LandmarkNetwork, denoiser: Denoiser, point_weight: float = 0.025
    ) -> None:
        super().__init__()
        self.landmarks = LandmarkLearner(network)
        self.iid = DenoiserLearner(denoiser)
        self.point_weight = point_weight

    def forward(self, batch: Batch, progress: float) -> Losses:
        image, cleaned = self.iid.learn(batch, wander=0.25)
        points = self.landmarks({**batch, "crops": cleaned}, progress)
        stage = min(int(progress * 4), 3)
        first, second = min(0.25 + 0.1 * stage, 0.5), max(0.75 - 0.1 * stage, 0.5)
        loss = first * self.point_weight * points["loss"] + second * image["loss"]
        named = {f"iid_{name}": value for name, value in image.items() if name != "loss"}
        return {"loss": loss, "l1_px": points["l1_px"], **named}
