"""Recipes of models over time, learnt from made clips or recordings: Vi-DeS to AVi-GaS."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from handlers.checkpoint import Checkpoint
from handlers.networks.affect import AffectNetworks
from handlers.networks.variants import FACE, VARIANTS, VOICE
from handlers.training.affect.made.bank import HEARD, FaceSource, SpeechSource, read_voices
from handlers.training.affect.made.clips import ClipEvents
from handlers.training.affect.made.faces import BOXES, Framing
from handlers.training.affect.made.studio import Studio, make_studio, pool
from handlers.training.affect.recorded.features import feature_clips as recorded_clips
from handlers.training.affect.recorded.features import fusion_studio
from handlers.training.affect.recorded.pieces import Piece, PieceCutting, cut_pieces
from handlers.training.affect.recorded.stored import CACHE, RecordingSource, folder_of, read_stored
from handlers.training.affect.sequences import FeatureClip, feature_clips
from handlers.training.affect.single_recipe import load_affect
from handlers.training.affect.stages import CurriculumStage, learn_fusion, learn_over_time, start
from handlers.training.datasets.affect.recordings import AFFECTNET
from handlers.training.loop import Schedule
from handlers.training.recipe import Recipe, RecipeError

Parts = dict[str, AffectNetworks]


@dataclass(frozen=True, kw_only=True)
class ClipRecipe(Recipe):
    """Training of a model over time on the latent maps of single-frame models.

    `face` and `voice` name the single-frame models of the store whose G and D it takes over, with
    C's convolutions where they fit. `fusion` is the schedule of fusion and C's convolutions, which
    only a model of both modalities has; `stages` are the curriculum.

    It is learnt from made clips of `faces` and `speech`, or from `recordings`. So many `clips` are
    made, of at most `most_faces` faces; of recordings there are so many pieces, and fusion learns
    from so many of their frames. `clip_seed` fixes them, `seed` all that is random in learning.
    """

    kind: Literal["over-time"] = "over-time"
    stages: tuple[CurriculumStage, ...]
    faces: tuple[FaceSource, ...] = ()
    speech: tuple[SpeechSource, ...] = ()
    recordings: RecordingSource | None = None
    face: str = "vi-de"
    voice: str = "au-de"
    fusion: Schedule | None = None
    plot: ClipEvents = ClipEvents()
    clips: int = 240
    most_faces: int = 5000
    clip_seed: int = 1
    seed: int = 1
    aligner: str = "model_store"

    def run(self, data: Path, runs: Path, store: Path, resume: bool) -> None:
        """Learn; the stages of a run from recordings lie in a folder of their set and fold, and
        what they learn from in `runs / recordings`."""
        if self.name not in VARIANTS:
            raise RecipeError(f"recipe {self.name!r} is called like no variant")
        stored = read_parts(self, store)
        parts = {modality: networks for modality, (networks, _) in stored.items()}
        folder = folder_of(self.name, self.recordings, runs)
        context = next(iter(stored.values()))[1].config["context"]
        if self.recordings is not None:
            pieces = read_pieces(self, self.recordings, tuple(parts), data, runs / CACHE, context)
            studio, clips = recorded(self, parts, pieces, folder / "maps", resume)
        else:
            framing = Framing(Path(self.aligner), runs / BOXES, context)
            studio, clips = made(self, parts, data, framing, runs / HEARD)
        torch.manual_seed(self.seed)
        full = VARIANTS[self.name]
        networks = start(full, parts)
        if self.fusion is not None:
            run = folder / "fusion"
            networks = learn_fusion(networks, parts[FACE], studio(), self.fusion, run, resume)
        found = clips(networks)
        networks = learn_over_time(networks, full, found, self.stages, self.seed, folder, resume)
        config = {
            "network": asdict(networks.config),
            "context": context,
            "parts": {checkpoint.name: checkpoint.sha256 for _, checkpoint in stored.values()},
        }
        self.save(store, config, networks.state_dict())


# What a gate and fusion learn from, and the clips that networks make features of.
FusionMaterial = tuple[Callable[[], Studio], Callable[[AffectNetworks], Sequence[FeatureClip]]]


def read_parts(recipe: ClipRecipe, store: Path) -> dict[str, tuple[AffectNetworks, Checkpoint]]:
    """Read the single-frame models that a recipe builds on: of made clips both modalities', of
    recordings those that the variant has.

    Raises RecipeError for others, and for models that learnt from a fold that is held out.
    """
    used = (FACE, VOICE) if recipe.recordings is None else VARIANTS[recipe.name].modalities
    parts = {}
    for modality in used:
        name = recipe.face if modality == FACE else recipe.voice
        networks, checkpoint = load_affect(store / name)
        if not isinstance(networks, AffectNetworks) or networks.config.modalities != (modality,):
            raise RecipeError(f"{store / name} is no single-frame model of the {modality}")
        check_fold(recipe, checkpoint)
        parts[modality] = (networks, checkpoint)
    return parts


def check_fold(recipe: ClipRecipe, part: Checkpoint) -> None:
    """Raise RecipeError for a part that learnt from people whom the recipe holds out."""
    ours, theirs = recipe.recordings, part.config.get("recipe", {}).get("recordings")
    if ours is None or ours.fold is None or theirs is None or theirs["layout"] != ours.layout:
        return
    if (theirs["fold"], theirs["folds"]) != (ours.fold, ours.folds):
        raise RecipeError(
            f"{part.name!r} of the store learnt from people of fold {ours.fold} of {ours.folds}, "
            f"which is held out here: train it without that fold first"
        )


def made(
    recipe: ClipRecipe, parts: Parts, data: Path, framing: Framing, heard: Path
) -> FusionMaterial:
    """Return clips made of faces and speech."""
    if not recipe.faces or not recipe.speech:
        raise RecipeError("give [[faces]] and [[speech]], or [recordings]")
    faces = pool(data, recipe.faces, recipe.most_faces, framing)
    voices = read_voices(data, recipe.speech, heard)
    studio = make_studio(parts, faces, voices, recipe.plot, recipe.clips, recipe.clip_seed)
    return lambda: studio, lambda networks: feature_clips(networks, studio)


def read_pieces(
    recipe: ClipRecipe,
    source: RecordingSource,
    modalities: Sequence[str],
    data: Path,
    cache: Path,
    context: float,
) -> list[Piece]:
    """Read pieces of recordings; the files made of them lie in `cache`."""
    if recipe.faces or recipe.speech or source.layout == AFFECTNET:
        raise RecipeError("give recordings over time, and nothing beside")
    stored = read_stored(data, source, context, cache)
    longest = max(stage.frames for stage in recipe.stages)
    cutting = PieceCutting(recipe.clips, longest, recipe.clip_seed)
    return cut_pieces(stored, modalities, recipe.plot, cutting)


def recorded(
    recipe: ClipRecipe, parts: Parts, pieces: Sequence[Piece], maps: Path, resume: bool
) -> FusionMaterial:
    """Return pieces of recordings, whose maps and features are kept in a folder."""
    most, seed = recipe.most_faces, recipe.clip_seed
    return (
        lambda: fusion_studio(parts, pieces, most, seed, maps, resume),
        lambda networks: recorded_clips(networks, pieces, maps, resume),
    )
