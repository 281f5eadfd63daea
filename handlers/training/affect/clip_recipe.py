"""Recipes of models over time, learnt from made clips: Vi-DeS, Au-DeS, AVi-CaS, AVi-GaS."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict

from handlers.affect_setup import load_affect, save_affect
from handlers.networks.affect import FACE, VARIANTS, VOICE, AffectNetworks
from handlers.training.affect.sources import FaceSource, SpeechSource, read_voices
from handlers.training.affect.stages import Stage, learn_fusion, learn_over_time, start
from handlers.training.affect.studio import Studio, make_studio, pool
from handlers.training.datasets.affect.clips import Plot
from handlers.training.loop import Schedule
from handlers.training.recipe import RecipeError


@dataclass(frozen=True)
class ClipRecipe:
    """How a model over time is learnt from made clips on the latent maps of single-frame models.

    `face` and `voice` name the single-frame models of the store whose G and D it takes over, with
    C's convolutions where they fit. `fusion` is the schedule of fusion and C's convolutions, which
    only a model of both modalities has; `stages` are the curriculum. So many `clips` are made, of
    at most `most_faces` faces; `clip_seed` fixes them, `seed` all that is random in learning.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    version: str
    about: str
    licence: str
    faces: tuple[FaceSource, ...]
    speech: SpeechSource
    stages: tuple[Stage, ...]
    face: str = "vi-de"
    voice: str = "au-de"
    fusion: Schedule | None = None
    plot: Plot = field(default_factory=Plot)
    clips: int = 240
    most_faces: int = 5000
    clip_seed: int = 1
    seed: int = 1


def run_clip_recipe(recipe: ClipRecipe, data: Path, runs: Path, store: Path, resume: bool) -> Path:
    """Learn from clips made of what lies under `data`; the model ends in `store / name`.

    Checkpoints and logs of every stage lie in `runs / name`.
    """
    if recipe.name not in VARIANTS:
        raise RecipeError(f"recipe {recipe.name!r} is called like no variant")
    parts = read_parts(recipe, store)
    faces = pool(data, recipe.faces, recipe.most_faces)
    voices = read_voices(data, recipe.speech)
    studio = make_studio(parts, faces, voices, recipe.plot, recipe.clips, recipe.clip_seed)
    networks = learn(recipe, parts, studio, runs / recipe.name, resume)
    config: dict[str, Any] = {
        "about": recipe.about,
        "licence": recipe.licence,
        "context": load_affect(store / recipe.face)[1].config["context"],
        "recipe": asdict(recipe),
        "parts": {
            name: load_affect(store / name)[1].sha256 for name in (recipe.face, recipe.voice)
        },
    }
    save_affect(networks, store / recipe.name, config, recipe.version)
    return store / recipe.name


def read_parts(recipe: ClipRecipe, store: Path) -> dict[str, AffectNetworks]:
    """The single-frame networks of both modalities; raises RecipeError for others."""
    parts = {}
    for modality, name in ((FACE, recipe.face), (VOICE, recipe.voice)):
        networks = load_affect(store / name)[0]
        if not isinstance(networks, AffectNetworks) or networks.config.modalities != (modality,):
            raise RecipeError(f"{store / name} is no single-frame model of the {modality}")
        parts[modality] = networks
    return parts


def learn(
    recipe: ClipRecipe,
    parts: dict[str, AffectNetworks],
    studio: Studio,
    folder: Path,
    resume: bool,
) -> AffectNetworks:
    """The networks of a recipe, learnt: fusion first where there is one, then the curriculum."""
    torch.manual_seed(recipe.seed)
    config = VARIANTS[recipe.name]
    networks = start(config, parts)
    if recipe.fusion is not None:
        networks = learn_fusion(networks, studio, recipe.fusion, folder / "fusion", resume)
    return learn_over_time(networks, config, studio, recipe.stages, recipe.seed, folder, resume)
