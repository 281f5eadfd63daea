"""`countenance evaluate`: what is served, measured on labelled faces, videos, clips and heads."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.console import CommandError, as_mistakes
from service.commands.options import (
    Device,
    Figures,
    LabelledFaces,
    Layout,
    MinFacePx,
    ModelStore,
    Record,
    command,
    settings_with,
)
from service.inference.loading import resolve_device
from service.options import MIN_FACE_PX


def store_and_device(model_store: Path | None, device: str | None) -> tuple[Path, str]:
    """Return the folder of the models and the device, those of the settings where not given."""
    settings = settings_with(model_store=model_store, device=device)
    return settings.model_store, resolve_device(settings.device)


@command
@as_mistakes(ValueError)
def evaluate_align(
    data: LabelledFaces,
    model: Annotated[
        list[str] | None, typer.Option(help="A model to measure; repeat for more.")
    ] = None,
    pair: Annotated[
        list[str] | None, typer.Option(help="Two models to compare, as dfa:fle; repeat for more.")
    ] = None,
    layout: Layout = "auto",
    out: Figures = None,
    detector: Annotated[
        bool, typer.Option("--detector", help="Also with the detector's boxes.")
    ] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Also under every degradation at every level.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many faces, spread evenly.")
    ] = None,
    min_face_px: MinFacePx = MIN_FACE_PX.default,
    batch: Annotated[int, typer.Option(min=1, help="Faces at a time.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of degradations and intervals.")] = 0,
    record: Record = False,
    worst: Annotated[int, typer.Option(min=1, help="Faces on a sheet of the worst.")] = 24,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Measure normalised mean error, AUC and failure rate; published rows stand beside."""
    # Imported when asked for: a service elsewhere needs no torch, and other commands start at once.
    from handlers.evaluation.align import command as align

    store, where = store_and_device(model_store, device)
    options = align.AlignEvaluationOptions(
        data=data,
        model_store=store,
        models=tuple(model or ()),
        pairs=tuple(split_pair(text) for text in pair or ()),
        layout=layout,
        out=out,
        detector=detector,
        sweep=sweep,
        device=where,
        limit=limit,
        min_face_px=min_face_px,
        batch=batch,
        seed=seed,
        record=record,
        worst=worst,
    )
    align.evaluate_align(options)


def split_pair(text: str) -> tuple[str, str]:
    """Return the two names around a colon; raises CommandError for anything else."""
    first, colon, second = text.partition(":")
    if not (first and colon and second):
        raise CommandError(f"--pair {text} names no two models; write one as dfa:fle")
    return first, second


@command
@as_mistakes(ValueError)
def evaluate_affect(
    data: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of the labelled data.")
    ],
    layout: Layout = "auto",
    row: Annotated[
        list[str] | None, typer.Option(help="A variant to measure, as avi-gas; repeat for more.")
    ] = None,
    model_store: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of the models; repeat for more seeds or folds.",
            show_default="the setting's, model_store",
        ),
    ] = None,
    by_fold: Annotated[
        bool, typer.Option("--by-fold", help="The model stores are those of the data's folds.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many clips, spread evenly.")
    ] = None,
    even: Annotated[
        bool, typer.Option("--even", help="Of photographs, all words' about as often.")
    ] = False,
    degraded: Annotated[
        str | None, typer.Option(help="Degrade all: by blur, darkness, noise or low level.")
    ] = None,
    context: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=3,
            help="How many times wider than the landmarks' box crops are.",
            show_default="what the variants were made for",
        ),
    ] = None,
    harm: Annotated[
        bool, typer.Option(help="Also with one modality destroyed or degraded.")
    ] = True,
    out: Figures = None,
    plots: Annotated[int, typer.Option(min=0, help="Clips to draw over time.")] = 3,
    record: Record = False,
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 0,
    device: Device = None,
) -> None:
    """Measure RMSE, COR, CCC and ICC of valence and arousal; published rows stand beside."""
    from handlers.evaluation.affect import evaluate

    usual_store, where = store_and_device(None, device)
    options = evaluate.AffectOptions(
        data=data,
        stores=tuple(model_store or (usual_store,)),
        tracker_store=usual_store,
        rows=tuple(row or ()),
        layout=layout,
        limit=limit,
        even=even,
        by_fold=by_fold,
        degraded=degraded,
        context=context,
        harm=harm,
        out=out,
        plots=plots,
        record=record,
        device=where,
        seed=seed,
    )
    evaluate.evaluate_affect(options)


@command
@as_mistakes(ValueError)
def evaluate_track(
    data: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Faces to make videos of, or 300-VW."),
    ] = None,
    row: Annotated[
        list[str] | None, typer.Option(help="A tracker to measure, as DCRT-4; repeat for more.")
    ] = None,
    made: Annotated[
        bool, typer.Option(help="Measure on videos made of the faces, not on recorded ones.")
    ] = True,
    group: Annotated[
        list[str] | None, typer.Option(help="A kind of made videos; repeat for more.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many made videos of each kind.")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Another list of made videos than handlers/evaluation/track/sequences.toml.",
        ),
    ] = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="A video without landmarks; repeat."),
    ] = None,
    faces: Annotated[int, typer.Option(min=1, max=8, help="Most faces to follow in a clip.")] = 8,
    out: Figures = None,
    videos: Annotated[bool, typer.Option("--videos", help="Also draw every video.")] = False,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Measure accuracy, overlap, jitter, recovery and identities; published rows beside."""
    from handlers.evaluation.track import command as track

    store, where = store_and_device(model_store, device)
    options = track.TrackOptions(
        data=data,
        model_store=store,
        rows=tuple(row or ()),
        made=made,
        groups=tuple(group or ()),
        limit=limit,
        plan=plan,
        clips=tuple(clip or ()),
        faces=faces,
        out=out,
        videos=videos,
        device=where,
    )
    track.evaluate_track(options)


@command
@as_mistakes(ValueError)
def evaluate_actions(
    pictures: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="The folder of the pictures.")
    ],
    labels: Annotated[
        Path,
        typer.Option(
            exists=True, dir_okay=False, help="A teacher's answers, .npz (docs/training-labels.md)."
        ),
    ],
    model: Annotated[str, typer.Option(help="The model to measure.")] = "dfa",
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Print how facial actions go with a teacher's, on faces that were not learnt from."""
    from handlers.evaluation import actions

    store, where = store_and_device(model_store, device)
    actions.evaluate_actions(pictures, labels, store, model, where)


@command
@as_mistakes(ValueError)
def evaluate_pose(
    heads: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="A kit of heads in space, .npz (N, I, E)."),
    ],
    count: Annotated[int, typer.Option(min=1, help="People for each condition.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of people, angles and noise.")] = 0,
    model_store: ModelStore = None,
) -> None:
    """Project people with expressions at known angles and print how far off the estimates are."""
    from handlers.evaluation import pose

    store = settings_with(model_store=model_store).model_store
    pose.evaluate_pose(heads, store, count, seed)


@command
@as_mistakes(ValueError)
def evaluate_rolls(
    data: LabelledFaces,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many faces, spread over the set.")
    ] = None,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Turn pictures by angles all round and print how many faces `/align` finds as well."""
    from handlers.evaluation.align import rolls

    store, where = store_and_device(model_store, device)
    rolls.evaluate_rolls(data, store, where, limit)


@command
@as_mistakes(ValueError)
def evaluate_cuts(
    clip: Annotated[
        list[Path],
        typer.Option(exists=True, dir_okay=False, help="A video with one face; repeat."),
    ],
    row: Annotated[str, typer.Option(help="The tracker to measure.")] = "DCRT-16",
    pairs: Annotated[int, typer.Option(min=1, help="At most so many joined pairs.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of pairs and noise.")] = 0,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Join clips to others and take faces out of them: who is followed where nobody may be?"""
    from handlers.evaluation.track import cuts

    store, where = store_and_device(model_store, device)
    cuts.evaluate_cuts(clip, store, row, pairs, seed, where)
