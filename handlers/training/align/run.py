"""Carry out a recipe: data, learner, loop, and the trained model into the store."""

from dataclasses import asdict
from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor, nn

from handlers.checkpoint import load_checkpoint, save_checkpoint
from handlers.networks.align import AlignmentNetwork
from handlers.training.align.denoising import DenoiserLearner, DenoisingBatches, JointLearner
from handlers.training.align.landmarks import BehindDenoiser, LandmarkBatches, LandmarkLearner
from handlers.training.align.recipe import Recipe, RecipeError, read_recipe
from handlers.training.faces import FaceBank
from handlers.training.loop import Run


def run_recipe(path: Path, data: Path, runs: Path, store: Path, resume: bool = True) -> Path:
    """Carry out a recipe on the data under `data`; the weights end in `store / name`.

    Checkpoints, the log of losses and its plot lie in `runs / name`; with `resume` a stopped run
    goes on from its last checkpoint.
    """
    recipe = read_recipe(path)
    torch.manual_seed(recipe.schedule.seed)
    network = AlignmentNetwork(
        None if recipe.landmarks is None else asdict(recipe.landmarks),
        None if recipe.denoiser is None else asdict(recipe.denoiser),
    )
    start_from(network, recipe, store)
    run = Run(make_learner(network, recipe.behind), recipe.schedule, runs / recipe.name)
    run.fit(make_batches(recipe, data), resume)
    if run.fabric.is_global_zero:
        plot_losses(runs / recipe.name)
        export(run, network, recipe, store)
    run.fabric.barrier()
    return store / recipe.name


def make_learner(network: AlignmentNetwork, behind: float | None = None) -> nn.Module:
    """What is minimised for the parts that a network has."""
    if network.landmarks is not None and network.denoiser is not None:
        if behind is not None:
            return BehindDenoiser(network.landmarks, network.denoiser, behind)
        return JointLearner(network.landmarks, network.denoiser)
    if network.denoiser is not None:
        return DenoiserLearner(network.denoiser)
    assert network.landmarks is not None
    return LandmarkLearner(network.landmarks)


def make_batches(recipe: Recipe, data: Path) -> LandmarkBatches | DenoisingBatches:
    """What is drawn from the faces under `data`."""
    bank = FaceBank(data, recipe.sources)
    if recipe.denoiser is not None and recipe.behind is None:
        assert recipe.degrading is not None
        return DenoisingBatches(bank, recipe.augmentation, recipe.degrading)
    return LandmarkBatches(bank, recipe.augmentation, recipe.degrading)


def start_from(network: AlignmentNetwork, recipe: Recipe, store: Path) -> None:
    """Take over the weights of the models that the recipe starts from, by name and shape.

    Specialised denoisers are taken over by the name of their class. Raises RecipeError when a
    model gives nothing.
    """
    wanted = network.state_dict()
    for name in recipe.start:
        checkpoint = load_checkpoint(store / name)
        tensors = checkpoint.tensors
        if recipe.denoiser is not None and checkpoint.config["denoiser"] is not None:
            given = checkpoint.config["denoiser"]["classes"]
            tensors = renumber(tensors, given, recipe.denoiser.classes)
        fitting = {
            key: value
            for key, value in tensors.items()
            if key in wanted and wanted[key].shape == value.shape and not fresh(key, recipe)
        }
        if not fitting:
            raise RecipeError(f"recipe {recipe.name!r}: nothing of {name!r} fits its networks")
        wanted |= fitting
    network.load_state_dict(wanted)


def fresh(key: str, recipe: Recipe) -> bool:
    """Whether a parameter keeps its random start."""
    return any(key.startswith(prefix) for prefix in recipe.fresh)


def renumber(
    tensors: dict[str, Tensor], given: list[str], wanted: tuple[str, ...]
) -> dict[str, Tensor]:
    """Move specialised denoisers from the places of classes `given` to those of `wanted`."""
    kept = {k: v for k, v in tensors.items() if not k.startswith("denoiser.denoisers.")}
    for target, name in enumerate(wanted):
        if name not in given:
            continue
        prefix = f"denoiser.denoisers.{given.index(name)}."
        kept |= {
            f"denoiser.denoisers.{target}.{key.removeprefix(prefix)}": value
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
    return kept


def export(run: Run, network: AlignmentNetwork, recipe: Recipe, store: Path) -> None:
    """Write the averaged weights, in half precision, and what rebuilds the network to the store."""
    make_learner(network, recipe.behind).load_state_dict(run.averaged().state_dict())
    config = {
        "about": recipe.about,
        "licence": recipe.licence,
        "landmarks": None if recipe.landmarks is None else asdict(recipe.landmarks),
        "denoiser": None if recipe.denoiser is None else asdict(recipe.denoiser),
        "context": recipe.augmentation.context,
        "crop_px": recipe.augmentation.size,
        "recipe": asdict(recipe),
    }
    tensors = {
        name: value.to(torch.float16) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    save_checkpoint(store / recipe.name, recipe.name, recipe.version, config, tensors)


def plot_losses(folder: Path) -> None:
    """Draw `losses.csv` of a run as `losses.png`, every loss smoothed over ten entries."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    table = np.genfromtxt(folder / "losses.csv", delimiter=",", names=True)
    figure, axes = pyplot.subplots(figsize=(8, 4))
    width = min(10, len(np.atleast_1d(table)))
    for name in (table.dtype.names or ())[1:]:
        smooth = np.convolve(np.atleast_1d(table[name]), np.ones(width) / width, mode="valid")
        axes.plot(np.atleast_1d(table["step"])[width - 1 :], smooth, label=name)
    axes.set(xlabel="step", yscale="log")
    axes.legend()
    figure.savefig(folder / "losses.png")
    pyplot.close(figure)
