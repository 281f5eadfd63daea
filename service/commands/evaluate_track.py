"""`countenance evaluate track`: the trackers that are served, measured on videos."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.console import as_mistakes, mistakes_explained
from service.commands.options import Device, Figures, ModelStore, settings_with
from service.inference.local import resolve_device


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
    with mistakes_explained():
        from handlers.evaluation.track import command as track

        settings = settings_with(model_store=model_store, device=device)
        options = track.TrackOptions(
            data=data,
            model_store=settings.model_store,
            rows=tuple(row or ()),
            made=made,
            groups=tuple(group or ()),
            limit=limit,
            clips=tuple(clip or ()),
            faces=faces,
            out=out,
            videos=videos,
            device=resolve_device(settings.device),
        )
        with as_mistakes(ValueError):
            track.evaluate_track(options)
