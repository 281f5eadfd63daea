"""Recipes tried out before hours are spent on them: a few steps of each, on drawn faces."""

import shutil
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from handlers.networks.actions import ACTIONS
from handlers.processing.arrays import Doubles
from handlers.training.align.recipe import AlignmentRecipe
from handlers.training.datasets.folders import write_pts
from handlers.training.faces import Source, faces_of
from handlers.training.loop import Schedule, Task
from handlers.training.recipe import RecipeError
from handlers.training.track.recipe import AssemblyRecipe, BoxTrackerRecipe, FaceValidatorRecipe
from handlers.training.train import AnyRecipe, read_recipe

# The recipes that can be tried on drawn faces.
Drawable = AlignmentRecipe | BoxTrackerRecipe | FaceValidatorRecipe | AssemblyRecipe

STEPS = 3
FACES = 4
FACE_PX = 240  # side of a drawn picture


@dataclass(frozen=True)
class Rehearsed:
    """A recipe that works, and how long all its steps take here; None for one of affect."""

    name: str
    steps: int
    seconds: float | None


def check_data(paths: Sequence[Path], data: Path, changes: Sequence[str] = ()) -> None:
    """Raise RecipeError unless every recipe of drawable faces, with `changes` in it as
    `read_recipe` makes them, finds some face of each source."""
    for path in paths:
        recipe = read_recipe(path, changes=changes)
        if not isinstance(recipe, Drawable) or isinstance(recipe, AssemblyRecipe):
            continue
        held_out = recipe.held_out if isinstance(recipe, FaceValidatorRecipe) else ()
        for source in (*recipe.sources, *held_out):
            try:
                face = next(faces_of(data, source), None)
            except FileNotFoundError as error:
                raise RecipeError(f"{path}: {error}") from error
            if face is None or not face.picture.is_file():
                raise RecipeError(f"{path}: no pictures of {source.labels} in {source.folder}")


def rehearse(
    paths: Sequence[Path],
    store: Path,
    steps: int = STEPS,
    batch: int | None = None,
    changes: Sequence[str] = (),
) -> Iterator[Rehearsed]:
    """Carry out recipes in their order for a few steps each, in a folder that is thrown away.

    `changes` are those of `read_recipe`, which the recipes' steps and batches are counted by.

    What a recipe starts from is what an earlier one has made, or comes from `store`. `batch`
    stands for the recipes' own. Raises RecipeError where a start is nowhere, or for a recipe that
    cannot be carried out.
    """
    with TemporaryDirectory() as folder:
        for path in paths:
            recipe = read_recipe(path, changes=changes)
            yield _rehearse(recipe, Path(folder), store, steps, batch)


def _rehearse(
    recipe: AnyRecipe, folder: Path, store: Path, steps: int, batch: int | None
) -> Rehearsed:
    if not isinstance(recipe, Drawable):
        return Rehearsed(recipe.name, 0, None)
    _provide(recipe, folder / "store", store)
    if isinstance(recipe, AssemblyRecipe):
        recipe.run(folder, folder, folder / "store", resume=False)
        return Rehearsed(recipe.name, 0, 0.0)
    whole = recipe.schedule
    batch, steps = batch or whole.batch, min(steps, whole.steps)
    task = _task(recipe, replace(whole, steps=steps, batch=batch, hold=0, warmup=1), folder)
    times_s = task.complete().times_s
    return Rehearsed(recipe.name, whole.steps, whole.steps * statistics.median(times_s))


def _task(
    recipe: AlignmentRecipe | BoxTrackerRecipe | FaceValidatorRecipe,
    schedule: Schedule,
    folder: Path,
) -> Task:
    """Return the recipe with another schedule, on drawn faces in the place of each of its
    sources."""
    places = (folder / name for name in ("data", "runs", "store"))
    draw_sources(folder / "data", recipe.sources)
    if isinstance(recipe, FaceValidatorRecipe):
        draw_sources(folder / "data", recipe.held_out)
        recipe = replace(recipe, held_out_count=1)
    if isinstance(recipe, BoxTrackerRecipe):
        recipe = replace(recipe, recordings=None)
    return replace(recipe, schedule=schedule).prepare(*places)


def _provide(recipe: Drawable, made: Path, store: Path) -> None:
    """Copy the models that a recipe starts from and that no earlier one has made."""
    for name in _needed(recipe):
        if (made / name).is_dir():
            continue
        if not (store / name / "weights.safetensors").is_file():
            raise RecipeError(
                f"recipe {recipe.name!r} starts from {name!r}, which is not in {store}: "
                f"train {name!r} first"
            )
        shutil.copytree(store / name, made / name)


def _needed(recipe: Drawable) -> tuple[str, ...]:
    if isinstance(recipe, AlignmentRecipe):
        return recipe.start
    if isinstance(recipe, AssemblyRecipe):
        return recipe.tracker, recipe.validator
    start = recipe.start if isinstance(recipe, BoxTrackerRecipe) else None
    return () if start is None else (start,)


def draw_sources(root: Path, sources: Sequence[Source]) -> None:
    """Draw some drawn faces with landmarks in the folder of each source, and labels if it
    has some."""
    for source in sources:
        draw_faces(root / source.folder)
        if source.labels is not None:
            (root / source.labels).parent.mkdir(parents=True, exist_ok=True)
            points = np.concatenate([drawn_face(), [[-28, -18], [28, -18]]]) + FACE_PX / 2
            np.savez(
                root / source.labels,
                pictures=[f"{index}.png" for index in range(FACES)],
                points=np.repeat(points[None], FACES, axis=0).astype(np.float32),
                names=ACTIONS,
                actions=np.full((FACES, len(ACTIONS)), 0.5, np.float32),
            )


def draw_faces(folder: Path) -> None:
    """Draw dots on noise, and `.pts` files beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    points = (drawn_face() + FACE_PX / 2).astype(np.float32)
    for index in range(FACES):
        picture = rng.integers(150, 200, (FACE_PX, FACE_PX, 3), dtype=np.uint8)
        for x, y in points:
            cv2.circle(picture, (round(float(x)), round(float(y))), 2, (10, 10, 60), cv2.FILLED)
        cv2.imwrite(str(folder / f"{index}.png"), picture)
        write_pts(folder / f"{index}.pts", points)


def drawn_face() -> Doubles:
    """Return the 68 landmarks `(68, 2)` of a plain face about (0, 0), 120 pixels wide."""
    around = np.pi - np.arange(17) * np.pi / 16
    jaw = np.stack([60 * np.cos(around), 70 * np.sin(around)], axis=1)
    brow = np.stack([np.linspace(-48, -12, 5), [-34, -38, -40, -39, -36]], axis=1)
    bridge = np.stack([np.zeros(4), np.linspace(-18, 12, 4)], axis=1)
    nostrils = np.stack([np.linspace(-12, 12, 5), [18, 20, 21, 20, 18]], axis=1)
    eye = _ring(6, 10, 5)
    mouth = [_ring(12, 25, 10) + (0, 42), _ring(8, 16, 4) + (0, 42)]
    brows = [brow, (brow * (-1, 1))[::-1]]
    return np.concatenate(
        [jaw, *brows, bridge, nostrils, eye + (-28, -18), eye + (28, -18), *mouth]
    )


def _ring(count: int, width: float, height: float) -> Doubles:
    """Return points on an ellipse, from its left over its top."""
    at = np.pi + np.arange(count) * 2 * np.pi / count
    return np.stack([width * np.cos(at), height * np.sin(at)], axis=1)


def in_words(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
