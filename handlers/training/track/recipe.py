"""Recipes of the tracker's parts, and how to carry one out: BT, FV, and both put together."""

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor, nn

from handlers.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from handlers.networks.box_tracker import BoxTracker
from handlers.networks.face_validator import FaceValidator
from handlers.training.align.recipe import RecipeError
from handlers.training.align.run import plot_losses
from handlers.training.faces import Source
from handlers.training.loop import Run, Schedule, write_summary
from handlers.training.synthetic.stills import Stills
from handlers.training.synthetic.style import Style
from handlers.training.track.box_tracker import TrackerBatches, TrackerLearner, TrackerModel
from handlers.training.track.face_validator import (
    ValidatorBatches,
    ValidatorLearner,
    ValidatorModel,
    measure_validator,
)
from handlers.training.track.recordings import Recordings
from handlers.training.track.videos import read_stills

FACE_PX = 76  # of a face kept in memory: crops show it no larger than this


@dataclass(frozen=True)
class TrackRecipe:
    """How BT or FV is learnt from made videos; one of `tracker` and `validator` is given.

    `start` names a model of the store whose weights are taken over where names and shapes agree:
    an alignment model gives its backbone. `held_out` are the faces that FV's figures come from;
    `recordings` is a folder in 300-VW's layout and the share of BT's videos drawn from it.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: str
    schedule: Schedule
    sources: tuple[Source, ...]
    tracker: TrackerModel | None = None
    validator: ValidatorModel | None = None
    style: Style = field(default_factory=Style)
    start: str | None = None
    held_out: tuple[Source, ...] = ()
    held_out_count: int = 2400
    recordings: Source | None = None


@dataclass(frozen=True)
class AssemblyRecipe:
    """How a tracking model is put together from trained parts of the store.

    `alignment` names the landmark network that it is served with; the rest is as in
    `TrackingSettings`, whose window n comes with the tracker.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: str
    about: str
    licence: str
    tracker: str
    validator: str
    alignment: str
    t_b: float
    t_c: float
    patience: int | None = None


def read_track_recipe(path: Path) -> TrackRecipe | AssemblyRecipe:
    """Read a recipe; an unknown key, a missing one or a wrong type raises RecipeError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if isinstance(content.get("tracker"), str):
            return TypeAdapter(AssemblyRecipe).validate_python(content)
        recipe = TypeAdapter(TrackRecipe).validate_python(content)
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if (recipe.tracker is None) == (recipe.validator is None):
        raise RecipeError(f"{path}: give [tracker] or [validator]")
    return recipe


def run_track_recipe(path: Path, data: Path, runs: Path, store: Path, resume: bool = True) -> Path:
    """Carry out a recipe on the faces under `data`; the model ends in `store / name`.

    Checkpoints, the log of losses and its plot lie in `runs / name`; with `resume` a stopped run
    goes on from its last checkpoint.
    """
    recipe = read_track_recipe(path)
    if isinstance(recipe, AssemblyRecipe):
        return assemble(recipe, store)
    torch.manual_seed(recipe.schedule.seed)
    stills = read_stills(data, recipe.sources, FACE_PX)
    learner = make_learner(recipe)
    start_from(learner, recipe, store)
    batches: TrackerBatches | ValidatorBatches
    if recipe.tracker is not None:
        batches = make_tracker_batches(recipe, recipe.tracker, stills, data)
    else:
        assert recipe.validator is not None
        batches = ValidatorBatches(stills, recipe.style, recipe.validator.context)
    run = Run(learner, recipe.schedule, runs / recipe.name)
    run.fit(batches, resume)
    if run.fabric.is_global_zero:
        plot_losses(run.folder)
        export(run, recipe, data, store)
    run.fabric.barrier()
    return store / recipe.name


def make_tracker_batches(
    recipe: TrackRecipe, model: TrackerModel, stills: Stills, data: Path
) -> TrackerBatches:
    """What BT learns from: made videos and, where the recipe says so, recorded ones."""
    if recipe.recordings is None:
        return TrackerBatches(stills, recipe.style, model.frames)
    recorded = Recordings(data / recipe.recordings.folder)
    return TrackerBatches(stills, recipe.style, model.frames, recorded, recipe.recordings.share)


def make_learner(recipe: TrackRecipe) -> nn.Module:
    """The network of a recipe in its learner."""
    if recipe.tracker is not None:
        return TrackerLearner(BoxTracker(recipe.tracker.size), recipe.tracker)
    model = recipe.validator
    assert model is not None
    return ValidatorLearner(FaceValidator(model.patch_px, model.channels))


def start_from(learner: nn.Module, recipe: TrackRecipe, store: Path) -> None:
    """Take over the weights that the recipe starts from.

    Raises RecipeError when the model gives nothing.
    """
    if recipe.start is None:
        return
    wanted = learner.state_dict()
    given = {
        as_ours(key): value for key, value in load_checkpoint(store / recipe.start).tensors.items()
    }
    fitting = {
        key: value.to(wanted[key].dtype)
        for key, value in given.items()
        if key in wanted and wanted[key].shape == value.shape
    }
    if not fitting:
        raise RecipeError(f"recipe {recipe.name!r}: nothing of {recipe.start!r} fits its network")
    learner.load_state_dict(wanted | fitting)


def as_ours(key: str) -> str:
    """The name in BT of a parameter of an alignment model's backbone; others stay."""
    return key.replace("landmarks.backbone.", "tracker.backbone.")


def export(run: Run, recipe: TrackRecipe, data: Path, store: Path) -> Path:
    """Write the averaged weights, in half precision, and what rebuilds the network to the store."""
    learner = make_learner(recipe)
    learner.load_state_dict(run.averaged().state_dict())
    config: dict[str, Any] = {"recipe": asdict(recipe)}
    if recipe.tracker is not None:
        config |= {
            "tracker": {"size": recipe.tracker.size},
            "tracker_context": recipe.tracker.context,
            "seq_bt": recipe.tracker.frames,
        }
    if recipe.validator is not None:
        model = recipe.validator
        config |= {
            "validator": {"patch_px": model.patch_px, "channels": list(model.channels)},
            "validator_context": model.context,
        }
        if recipe.held_out:
            stills = read_stills(data, recipe.held_out, FACE_PX)
            batches = ValidatorBatches(stills, recipe.style, model.context)
            config["figures"] = measure_validator(
                learner, batches, run.folder, recipe.held_out_count
            )
            write_summary(run.folder, config["figures"])
    folder = store / recipe.name
    save_checkpoint(folder, recipe.name, recipe.version, config, halved(learner.state_dict()))
    return folder


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with their real numbers in half precision."""
    return {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}


def assemble(recipe: AssemblyRecipe, store: Path) -> Path:
    """Join BT and FV of the store into one model beside them."""
    tracker = _part(store, recipe.tracker, "tracker")
    validator = _part(store, recipe.validator, "validator")
    config = {
        **{key: tracker.config[key] for key in ("tracker", "tracker_context", "seq_bt")},
        **{key: validator.config[key] for key in ("validator", "validator_context")},
        "about": recipe.about,
        "licence": recipe.licence,
        "alignment": recipe.alignment,
        "t_b": recipe.t_b,
        "t_c": recipe.t_c,
        "patience": recipe.patience,
        "recipe": asdict(recipe),
        "parts": {part.name: part.sha256 for part in (tracker, validator)},
    }
    if "figures" in validator.config:
        config["figures"] = {"validator": validator.config["figures"]}
    folder = store / recipe.name
    save_checkpoint(
        folder, recipe.name, recipe.version, config, {**tracker.tensors, **validator.tensors}
    )
    return folder


def _part(store: Path, name: str, kind: str) -> Checkpoint:
    part = load_checkpoint(store / name)
    if kind not in part.config:
        raise RecipeError(f"{name!r} of the store is no {kind}")
    return part
