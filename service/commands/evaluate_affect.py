"""`countenance evaluate affect`: the affect models that are served, measured on labelled clips."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.console import as_mistakes, mistakes_explained
from service.commands.options import Device, Figures, Layout, Record, settings_with
from service.inference.local import resolve_device


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
    reference: Annotated[
        str, typer.Option(help="0 dB of a voice: fixed, as served, or clip, its own maximum.")
    ] = "fixed",
    degraded: Annotated[
        str | None, typer.Option(help="Degrade all: by blur, darkness, noise or low level.")
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
    with mistakes_explained():
        from handlers.evaluation.affect import evaluate

        settings = settings_with(device=device)
        options = evaluate.AffectOptions(
            data=data,
            stores=tuple(model_store or (settings.model_store,)),
            tracker_store=settings.model_store,
            rows=tuple(row or ()),
            layout=layout,
            limit=limit,
            by_fold=by_fold,
            reference=reference,
            degraded=degraded,
            harm=harm,
            out=out,
            plots=plots,
            record=record,
            device=resolve_device(settings.device),
            seed=seed,
        )
        with as_mistakes(ValueError):
            evaluate.evaluate_affect(options)
