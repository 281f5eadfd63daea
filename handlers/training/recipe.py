"""Shared parts of all recipes: fields, weights taken over from other models, and what is stored."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from torch import Tensor, nn

from handlers.checkpoint import save_checkpoint
from handlers.training.loop import Schedule, Task


class RecipeError(ValueError):
    """A recipe that cannot be read or carried out; the message says where and why."""


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """One model of the store and how it is learnt: a strict TOML file.

    `about` says what the model is, `licence` what the terms of the data leave to users of the
    weights.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: str
    about: str
    licence: str

    @abstractmethod
    def run(self, data: Path, runs: Path, store: Path, resume: bool) -> None:
        """Learn from what lies under `data` and write the model to `store / name`.

        Checkpoints and logs lie below `runs`; with `resume` a stopped run goes on from its last
        checkpoint. Raises RecipeError where the recipe cannot be carried out.
        """

    def save(self, store: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write weights, in half precision, with what rebuilds their network and this recipe."""
        told = {"about": self.about, "licence": self.licence}
        content = {**{key: text for key, text in told.items() if text}, **config}
        content["recipe"] = asdict(self)
        save_checkpoint(store / self.name, self.name, self.version, content, halved(tensors))


@dataclass(frozen=True, kw_only=True)
class LearnedRecipe(Recipe):
    """A recipe of one run of the training loop."""

    schedule: Schedule

    @abstractmethod
    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        """Read the data and build the learner; raises RecipeError as `run` does."""

    def run(self, data: Path, runs: Path, store: Path, resume: bool) -> None:
        self.prepare(data, runs, store).complete(resume)


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with their real numbers in half precision."""
    return {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}


def take_over(network: nn.Module, given: Mapping[str, Tensor], source: str) -> None:
    """Load those weights whose names and shapes agree; the others stay as they are.

    Raises RecipeError naming the `source` where none agrees.
    """
    wanted = network.state_dict()
    fitting = {k: v for k, v in given.items() if k in wanted and wanted[k].shape == v.shape}
    if not fitting:
        raise RecipeError(f"nothing of {source!r} fits the network")
    network.load_state_dict(wanted | fitting)
