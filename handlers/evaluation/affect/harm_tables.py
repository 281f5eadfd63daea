"""Models under harm to tables: agreement with a modality destroyed, moves of the gate."""

from collections.abc import Iterator

from rich.table import Table

from handlers.evaluation.affect.harmed import MOVE, STRETCH_S
from handlers.evaluation.affect.layout import SIDES, new_table, number, percent, value
from handlers.evaluation.affect.report import AffectReport
from handlers.evaluation.affect.rows import printed


def harm_tables(report: AffectReport) -> Iterator[Table]:
    """As far as harms were tried."""
    if report.survivals:
        yield _survivals(report)
    if report.moves:
        yield _moves(report)
    if report.changes:
        yield _changes(report)


def _survivals(report: AffectReport) -> Table:
    """CCC with a modality destroyed; the margin is over the better single modality."""
    heads = (*(f"CCC\n{side}" for side in SIDES), "Answered", "Margin")
    table = new_table("With one modality destroyed", ("Harm", "Method"), heads)
    for survival in report.survivals:
        for name, found in survival.agreements.items():
            margin = survival.margin.get(name)
            shown = "best single" if name == survival.better else ""
            table.add_row(
                survival.harm,
                printed(name),
                *(number(value(found, "CCC", side)) for side in SIDES),
                percent(found.answered),
                shown if margin is None else f"{margin:+.3f}",
            )
        table.add_section()
    return table


def _moves(report: AffectReport) -> Table:
    title = f"The gate under harm: moves to the healthy side, in stretches of {STRETCH_S:g} s"
    heads = ("Stretches", "Forced", "Mean move", f"Moved {MOVE:g}\nor more")
    table = new_table(title, ("Method", "Harm", "Of", "Strength"), heads)
    for move in report.moves:
        counts = (str(move.stretches), str(move.forced))
        cells = (number(move.move), percent(move.noticed))
        words = (move.harm, move.modality, move.strength)
        table.add_row(printed(move.model), *words, *counts, *cells)
    return table


def _changes(report: AffectReport) -> Table:
    title = "Voices as other channels bring them: mean change from the same clip as it is"
    heads = ("Voice\nused", "ARO less\nits label", "VAL\nmoves", "ARO\nmoves")
    table = new_table(title, ("Method", "Channel"), heads)
    for one in report.changes:
        numbers = (number(value) for value in (one.bias, one.valence, one.arousal))
        table.add_row(printed(one.name), one.channel, percent(one.voiced), *numbers)
    return table
