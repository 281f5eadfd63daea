"""Recipes of the tracker's parts, BT and FV, and of both put together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from handlers.checkpoint import Checkpoint, load_checkpoint
from handlers.networks.box_tracker import BoxTracker, FaceValidator
from handlers.training.faces import Source
from handlers.training.loop import Task
from handlers.training.recipe import LearnedRecipe, Recipe, RecipeError, take_over
from handlers.training.synthetic.stills import Stills
from handlers.training.synthetic.style import Style
from handlers.training.track.box_tracker import (
    RecordedVideos,
    TrackerBatches,
    TrackerLearner,
    TrackerModel,
    read_stills,
)
from handlers.training.track.face_validator import (
    ValidatorBatches,
    ValidatorLearner,
    ValidatorModel,
    measure_validator,
)

FACE_PX = 76  # of a face kept in memory: crops show it no larger than this


@dataclass(frozen=True, kw_only=True)
class BoxTrackerRecipe(LearnedRecipe):
    """Training of BT on made videos of the faces of `sources`.

    `start` names a model of the store whose weights are taken over: an alignment model gives its
    backbone. `recordings` is a folder in 300-VW's layout and the share of the videos drawn from it.
    """

    kind: Literal["box-tracker"] = "box-tracker"
    about: str = ""
    licence: str = ""
    sources: tuple[Source, ...]
    tracker: TrackerModel
    style: Style = Style()
    start: str | None = None
    recordings: Source | None = None

    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        torch.manual_seed(self.schedule.seed)
        learner = TrackerLearner(BoxTracker(self.tracker.size), self.tracker)
        if self.start is not None:
            given = load_checkpoint(store / self.start).tensors
            backbone = "landmarks.backbone.", "tracker.backbone."
            take_over(learner, {k.replace(*backbone): v for k, v in given.items()}, self.start)
        config = {
            "tracker": {"size": self.tracker.size},
            "tracker_context": self.tracker.context,
            "seq_bt": self.tracker.frames,
        }

        def export() -> None:
            self.save(store, config, learner.state_dict())

        return Task(learner, self.schedule, self.batches(data), runs / self.name, export)

    def batches(self, data: Path) -> TrackerBatches:
        """Draw made videos and, where the recipe says so, recorded ones."""
        stills = read_stills(data, self.sources, FACE_PX)
        if self.recordings is None:
            return TrackerBatches(stills, self.style, self.tracker.frames)
        recorded = RecordedVideos(data / self.recordings.folder)
        share = self.recordings.share
        return TrackerBatches(stills, self.style, self.tracker.frames, recorded, share)


@dataclass(frozen=True, kw_only=True)
class FaceValidatorRecipe(LearnedRecipe):
    """Training of FV on made scenes; its figures come from the faces that are `held_out`."""

    kind: Literal["face-validator"] = "face-validator"
    about: str = ""
    licence: str = ""
    sources: tuple[Source, ...]
    validator: ValidatorModel
    style: Style = Style()
    held_out: tuple[Source, ...] = ()
    held_out_count: int = 2400

    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        torch.manual_seed(self.schedule.seed)
        model, folder = self.validator, runs / self.name
        stills = read_stills(data, self.sources, FACE_PX)
        learner = ValidatorLearner(FaceValidator(model.patch_px, model.channels, model.spacing))

        def export() -> None:
            config: dict[str, Any] = {
                "validator": {
                    "patch_px": model.patch_px,
                    "channels": list(model.channels),
                    "spacing": model.spacing,
                },
                "validator_context": model.context,
            }
            if self.held_out:
                config["figures"] = self.measure(learner, data, folder)
            self.save(store, config, learner.state_dict())

        return Task(learner, self.schedule, self.batches(stills), folder, export)

    def batches(self, stills: Stills) -> ValidatorBatches:
        """Draw places on faces and beside them."""
        return ValidatorBatches(stills, self.style, self.validator.context)

    def measure(self, learner: ValidatorLearner, data: Path, folder: Path) -> Mapping[str, object]:
        """Measure on the faces that are held out; the figures are kept in the run's folder too."""
        batches = self.batches(read_stills(data, self.held_out, FACE_PX))
        figures = measure_validator(learner, batches, folder, self.held_out_count)
        (folder / "summary.json").write_text(json.dumps(figures, indent=2) + "\n")
        return figures


@dataclass(frozen=True, kw_only=True)
class AssemblyRecipe(Recipe):
    """A tracking model put together from trained parts of the store.

    `alignment` names the landmark network that it is served with; the rest is as in
    `TrackingSettings`, whose window n comes with the tracker.
    """

    kind: Literal["tracking"] = "tracking"
    tracker: str
    validator: str
    alignment: str
    t_b: float
    t_c: float
    patience: int | None = None

    def run(self, data: Path, runs: Path, store: Path, resume: bool) -> None:
        tracker = _part(store, self.tracker, "tracker")
        validator = _part(store, self.validator, "validator")
        config: dict[str, Any] = {
            **{key: tracker.config[key] for key in ("tracker", "tracker_context", "seq_bt")},
            **{key: validator.config[key] for key in ("validator", "validator_context")},
            "alignment": self.alignment,
            "t_b": self.t_b,
            "t_c": self.t_c,
            "patience": self.patience,
            "parts": {part.name: part.sha256 for part in (tracker, validator)},
        }
        if "figures" in validator.config:
            config["figures"] = {"validator": validator.config["figures"]}
        tensors: dict[str, Tensor] = {**tracker.tensors, **validator.tensors}
        self.save(store, config, tensors)


def _part(store: Path, name: str, kind: str) -> Checkpoint:
    part = load_checkpoint(store / name)
    if kind not in part.config:
        raise RecipeError(f"{name!r} of the store is no {kind}")
    return part
