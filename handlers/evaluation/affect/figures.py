"""Traces to files: estimates against labels over time and in scatters, as pictures and numbers."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handlers.evaluation.affect.agreement import DIMENSIONS, agreement
from handlers.evaluation.affect.clips import LabelledClip, Trace, Units, joined
from handlers.evaluation.affect.measuring import AffectReport
from handlers.evaluation.affect.portions import spread
from handlers.evaluation.affect.rows import printed
from handlers.evaluation.affect.sets import EvaluationSet
from handlers.evaluation.output import rounded, write_csv, write_json
from handlers.processing.mel import mel_power, pcm_to_samples, to_network

SHOWN = ("vi-des", "au-des", "avi-cas", "avi-gas")
COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")
LABEL = "black"
FACES = 12


def models_shown(names: Sequence[str]) -> list[str]:
    """Tell which models stand in one picture: chapter 7's sequences, or the last few there are."""
    return [name for name in SHOWN if name in names] or list(names)[-len(SHOWN) :]


def write_timeline(clip: LabelledClip, traces: Mapping[str, Trace], path: Path) -> None:
    """Write one clip as in Figures 6.3 and 7.5, as a PNG: faces, sound, valence and arousal
    with every model's CCC, then of each model that has them the attention over past states
    and the gate."""
    from matplotlib.figure import Figure

    attending = {name: trace for name, trace in traces.items() if trace.weights.shape[1]}
    gated = {name: trace for name, trace in traces.items() if np.isfinite(trace.gate).any()}
    seen = any(face is not None for face in clip.faces)
    heights = [0.9] * seen + [0.9] * (clip.pcm is not None) + [2.2, 2.2]
    heights += [0.75] * len(attending) + [1.1] * bool(gated)
    figure = Figure(figsize=(12, sum(heights) + 1.2), layout="constrained")
    panels = iter(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    if seen:
        _faces(next(panels), clip)
    if clip.pcm is not None:
        _sound(next(panels), clip)
    for dimension in DIMENSIONS:
        _estimates(next(panels), clip, traces, dimension)
    for name, trace in attending.items():
        _attention(next(panels), name, trace)
    if gated:
        _gates(last := next(panels), gated, list(traces))
    else:
        last = figure.axes[-1]
    last.set(xlabel="seconds", xlim=(clip.times_s[0], clip.times_s[-1]))
    figure.suptitle(clip.name, x=0.01, ha="left", fontsize="medium")
    figure.savefig(path, dpi=100)


def _faces(axes: Any, clip: LabelledClip) -> None:
    """Draw some faces at their times; where none is seen the place stays grey."""
    first, last = float(clip.times_s[0]), float(clip.times_s[-1])
    width = (last - first) / FACES
    axes.set(ylim=(0, 1), yticks=[], facecolor="lightgrey")
    for place in range(FACES):
        middle = first + (place + 0.5) * width
        face = clip.faces[int(np.abs(clip.times_s - middle).argmin())]
        if face is not None:
            begin = first + place * width
            axes.imshow(face, extent=(begin, begin + width, 0, 1), aspect="auto")
    axes.set_xlim(first, last)


def _sound(axes: Any, clip: LabelledClip) -> None:
    """Draw the Mel spectrogram as the networks see it."""
    if clip.pcm is None:
        return
    seconds = len(clip.pcm) / 22_050
    levels = to_network(mel_power(pcm_to_samples(clip.pcm)))
    axes.imshow(
        levels, origin="lower", extent=(0, seconds, 0, 1), aspect="auto", cmap="magma", vmin=-1
    )
    axes.set(yticks=[], ylabel="Mel")


def _estimates(axes: Any, clip: LabelledClip, traces: Mapping[str, Trace], dimension: str) -> None:
    column = DIMENSIONS.index(dimension)
    axes.plot(clip.times_s, clip.labels[:, column], color=LABEL, linewidth=2, label="label")
    for (name, trace), color in zip(traces.items(), COLORS, strict=False):
        score = getattr(agreement(trace.estimates, trace.labels), dimension)
        label = f"{printed(name)}  {score.ccc:.2f}"
        axes.plot(trace.times_s, trace.estimates[:, column], color=color, linewidth=1, label=label)
    axes.set(ylabel=dimension, ylim=(-1, 1))
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.legend(title="CCC", loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small")


def _attention(axes: Any, name: str, trace: Trace) -> None:
    """Draw weights of the past states, the newest on top; brighter than their mean is
    attended to."""
    states = trace.weights.shape[1]
    extent = (trace.times_s[0], trace.times_s[-1], -states, 0)
    weights = np.where(trace.weights > 0, trace.weights, np.nan).T
    axes.set(facecolor="lightgrey")
    axes.imshow(
        weights, origin="lower", extent=extent, aspect="auto", vmin=0, vmax=max(2 / states, 0.5)
    )
    axes.set(yticks=[-states, -1], ylabel=f"$W_a$\n{printed(name)}")
    axes.yaxis.label.set(rotation=0, ha="right", va="center", fontsize="small")


def _gates(axes: Any, gated: Mapping[str, Trace], names: Sequence[str]) -> None:
    """Draw the mean gate, in the model's colour among `names`; where a side was shut, shaded."""
    for name, trace in gated.items():
        color = COLORS[names.index(name)]
        axes.plot(trace.times_s, trace.gate, color=color, linewidth=1, label=printed(name))
    trace = next(iter(gated.values()))
    for used, color, said in (
        (trace.face, "tab:orange", "no face"),
        (trace.voice, "tab:blue", "no voice"),
    ):
        if not used.all():
            axes.fill_between(
                trace.times_s, 0, 1, where=~used, step="mid", color=color, alpha=0.2, label=said
            )
    axes.set(ylim=(0, 1), yticks=[0, 0.5, 1], yticklabels=["voice", "", "face"], ylabel="$Z_G$")
    axes.axhline(0.5, color="grey", linewidth=0.5)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small")


def write_scatter(models: Mapping[str, Units], path: Path) -> None:
    """Write estimates against labels, a column a model and a row a dimension, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(models) + 0.6, 6.4), layout="constrained")
    panels = figure.subplots(2, len(models), squeeze=False, sharex=True, sharey=True)
    for column, (name, units) in enumerate(models.items()):
        estimates, labels = joined([trace for part in units.values() for trace in part])
        found = agreement(estimates, labels)
        for row, dimension in enumerate(DIMENSIONS):
            axes = panels[row, column]
            finite = np.isfinite(estimates[:, row]) & np.isfinite(labels[:, row])
            axes.hexbin(
                labels[finite, row],
                estimates[finite, row],
                gridsize=30,
                extent=(-1, 1, -1, 1),
                bins="log",
                mincnt=1,
            )
            axes.plot([-1, 1], [-1, 1], color="grey", linewidth=0.7)
            score = getattr(found, dimension)
            axes.set(title=f"{printed(name)}  CCC {score.ccc:.2f}", xlim=(-1, 1), ylim=(-1, 1))
            if column == 0:
                axes.set(ylabel=f"{dimension}, estimated")
            if row == 1:
                axes.set(xlabel="label")
    figure.savefig(path, dpi=100)


def write_files(
    report: AffectReport,
    models: Mapping[str, Units],
    material: EvaluationSet,
    out: Path,
    plots: int,
) -> None:
    """Write JSON, CSV and PNGs in a folder, of these `plots` timelines."""
    write_json(report, out / "report.json")
    write_csv(out / "moments.csv", moment_lines(models))
    if models:
        write_scatter(models, out / "scatter.png")
        write_timelines(models, material, out, plots)


def write_timelines(
    models: Mapping[str, Units], material: EvaluationSet, out: Path, count: int
) -> None:
    """Write `timeline-<clip>.png` of the first clips in time, by the first fold's or seed's
    models."""
    unit = next(iter(next(iter(models.values()))))
    shown = [clip for clip in material.clips if len(clip.times_s) > 1 and not material.whole]
    for clip in shown[:count]:
        traces = {
            name: trace
            for name in models_shown(list(models))
            for trace in models[name][unit]
            if trace.clip == clip.name
        }
        if traces:
            write_timeline(clip, traces, out / f"timeline-{file_name(clip.name)}.png")


def file_name(clip: str) -> str:
    """Return a clip's name as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", clip)


def moment_lines(models: Mapping[str, Units]) -> list[dict[str, Any]]:
    """Return a line a model, unit and moment: times in seconds, labels, estimates, gate, spread."""
    lines: list[dict[str, Any]] = []
    for name, units in models.items():
        for unit, part in units.items():
            for trace in part:
                columns = {
                    "valence": trace.labels[:, 0],
                    "arousal": trace.labels[:, 1],
                    "valence_estimate": trace.estimates[:, 0],
                    "arousal_estimate": trace.estimates[:, 1],
                    "gate": trace.gate,
                    "attention_spread": spread(trace),
                }
                for moment, time_s in enumerate(trace.times_s.tolist()):
                    where = {"model": name, "unit": unit, "clip": trace.clip}
                    found = {key: rounded(float(one[moment])) for key, one in columns.items()}
                    lines.append({**where, "time_s": round(time_s, 3), **found})
    return lines
