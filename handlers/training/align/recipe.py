"""Recipes of landmark networks and internal image denoisers, each alone or both together."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from handlers.checkpoint import load_checkpoint
from handlers.networks.denoiser import AlignmentNetwork
from handlers.training.align.denoising import DenoiserLearner, DenoisingBatches, JointLearner
from handlers.training.align.landmarks import (
    ActionLearner,
    BehindDenoiser,
    LandmarkBatches,
    LandmarkLearner,
)
from handlers.training.faces import Augmentation, Degrading, FaceBank, Source
from handlers.training.loop import Task
from handlers.training.recipe import LearnedRecipe, take_over


@dataclass(frozen=True)
class LandmarkModel:
    """Arguments of `LandmarkNetwork`."""

    backbone: str
    size: str
    head: str
    head_width: int = 64


@dataclass(frozen=True)
class DenoiserModel:
    """Arguments of a denoiser: `kind` "direct", "stc" or "mtc", and the size.

    `classes` are the keys of `Degrading.kinds`, none for a direct denoiser. `strength` is the share
    of a class's denoiser in its result, 1 where it is not named.
    """

    kind: str
    size: str
    classes: tuple[str, ...] = ()
    strength: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AlignmentRecipe(LearnedRecipe):
    """Training of landmarks, of denoising or of both.

    With `landmarks` alone a landmark network is trained, with `denoiser` alone an internal image
    denoiser, with both the two together (section 4.3.5). `start` names the models of the store that
    the first weights come from; what begins with a prefix in `fresh` is not taken over. With
    `behind` the denoiser stays as it is and the landmark network learns from crops of which that
    share has been through it; with `only = "actions"` all but the layers that tell facial actions
    stays as it is. `notes` is what users of the weights must know of them.
    """

    kind: Literal["alignment"] = "alignment"
    sources: tuple[Source, ...]
    landmarks: LandmarkModel | None = None
    denoiser: DenoiserModel | None = None
    degrading: Degrading | None = None
    augmentation: Augmentation = Augmentation()
    start: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    behind: float | None = None
    only: Literal["actions"] | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for parts that do not fit each other."""
        if self.landmarks is None and self.denoiser is None:
            raise ValueError("give [landmarks], [denoiser] or both")
        if self.behind is not None and (self.landmarks is None or self.denoiser is None):
            raise ValueError("'behind' needs [landmarks] and [denoiser]")
        if self.only is not None and (self.landmarks is None or self.landmarks.head != "refined"):
            raise ValueError("'only' needs [landmarks] with a refined head")
        if self.denoiser is not None and self.behind is None and self.only is None:
            check_classes(self.denoiser, self.degrading)

    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        torch.manual_seed(self.schedule.seed)
        landmarks = None if self.landmarks is None else asdict(self.landmarks)
        denoiser = None if self.denoiser is None else asdict(self.denoiser)
        network = AlignmentNetwork(landmarks, denoiser)
        start_from(network, self, store)
        config = {
            "landmarks": landmarks,
            "denoiser": denoiser,
            "context": self.augmentation.context,
            "crop_px": self.augmentation.size,
        }
        learner = make_learner(network, self.behind, self.only is not None)

        def export() -> None:
            self.save(store, config, network.state_dict())

        batches = make_batches(self, data)
        return Task(learner, self.schedule, batches, runs / self.name, export)


def check_classes(denoiser: DenoiserModel, degrading: Degrading | None) -> None:
    """Raise ValueError unless a denoiser's classes are the kinds of degradation it learns from."""
    if degrading is None:
        raise ValueError("a denoiser needs [degrading]")
    expected = () if denoiser.kind == "direct" else tuple(degrading.kinds)
    if denoiser.classes != expected:
        raise ValueError(
            f"the classes of a {denoiser.kind!r} denoiser must be {list(expected)}, "
            f"as in [degrading.kinds], not {list(denoiser.classes)}"
        )


def make_learner(
    network: AlignmentNetwork, behind: float | None = None, only_actions: bool = False
) -> nn.Module:
    """Build the learner of the parts that a network has."""
    if only_actions:
        assert network.landmarks is not None
        return ActionLearner(network.landmarks)
    if network.landmarks is not None and network.denoiser is not None:
        if behind is not None:
            return BehindDenoiser(network.landmarks, network.denoiser, behind)
        return JointLearner(network.landmarks, network.denoiser)
    if network.denoiser is not None:
        return DenoiserLearner(network.denoiser)
    assert network.landmarks is not None
    return LandmarkLearner(network.landmarks)


def make_batches(recipe: AlignmentRecipe, data: Path) -> LandmarkBatches | DenoisingBatches:
    """Draw batches from the faces under `data`."""
    bank = FaceBank(data, recipe.sources)
    if recipe.denoiser is not None and recipe.behind is None and recipe.only is None:
        assert recipe.degrading is not None
        return DenoisingBatches(bank, recipe.augmentation, recipe.degrading)
    return LandmarkBatches(bank, recipe.augmentation, recipe.degrading)


def start_from(network: AlignmentNetwork, recipe: AlignmentRecipe, store: Path) -> None:
    """Take over the weights of the models that the recipe starts from.

    Specialised denoisers are taken over by the name of their class.
    """
    for name in recipe.start:
        checkpoint = load_checkpoint(store / name)
        tensors = checkpoint.tensors
        if recipe.denoiser is not None and checkpoint.config["denoiser"] is not None:
            given = checkpoint.config["denoiser"]["classes"]
            tensors = renumber(tensors, given, recipe.denoiser.classes)
        kept = {key: value for key, value in tensors.items() if not key.startswith(recipe.fresh)}
        take_over(network, kept, name)


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
