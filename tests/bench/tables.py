"""Figures of live sessions as a table for people, and against what was asked for."""

import statistics
from typing import Any

ADDED_MS, SHARE, IDLE_KIB, START_S = 6.0, 0.85, 60.0, 25.0
COLUMNS = ("per_second", "p50_ms", "p95_ms", "p99_ms", "cpu_ms_each", "dropped", "errors")


def bars(result: dict[str, Any]) -> dict[str, Any]:
    """Each bar with what was measured; of what was measured in turn the median."""
    behind, in_turn = result["torchserve"], result["in_turn"]
    added, share = (statistics.median(in_turn[name]) for name in ("added_ms", "shares_of_bare"))
    return {
        "torchserve_adds_median_ms": _bar(added, f"at most {ADDED_MS:g}", ADDED_MS),
        "16_sessions_share_of_bare": _bar(share, f"at least {SHARE:g}", SHARE, more=True),
        "idle_session_kib": _bar(behind["idle_session_kib"], f"under {IDLE_KIB:g}", IDLE_KIB),
        "cold_start_s": _bar(behind["cold_start_s"], f"under {START_S:g}", START_S),
    }


def render(result: dict[str, Any]) -> str:
    """Markdown: the machine, the loads of both arms, the bars."""
    facts = {**result["machine"], "workers": _counts(result["workers"])}
    about = ", ".join(f"{name} {value}" for name, value in facts.items() if value)
    lines = [f"`{result['command']}`", "", about, ""]
    heads = ("arm", "load", "sessions", *COLUMNS)
    lines += [_row(heads), _row(["---"] * len(heads))]
    for count, rate in result["bare_per_second"].items():
        lines.append(_row(("bare predictor", "batched", count, rate, *[""] * (len(COLUMNS) - 1))))
    for arm in ("embedded", "torchserve"):
        for load, found in result[arm].items():
            if load == "closed" or load.startswith("open"):
                for count, figures in found.items():
                    lines.append(_row((arm, load, count, *_figures(figures))))
            elif load == "mix":
                lines.append(_row((arm, load, "", *_figures(found))))
    lines += ["", _row(("figure", "measured", "bar", "met")), _row(["---"] * 4)]
    for name, bar in result["bars"].items():
        lines.append(_row((name, bar["measured"], bar["bar"], bar["met"])))
    return "\n".join(lines) + "\n"


def _counts(workers: dict[str, int]) -> str:
    return ", ".join(f"{count} of {model}" for model, count in workers.items())


def _figures(figures: dict[str, Any]) -> list[Any]:
    return [figures.get(column, "") for column in COLUMNS]


def _row(cells: Any) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _bar(found: float, told: str, limit: float, more: bool = False) -> dict[str, Any]:
    met = found >= limit if more else found <= limit
    return {"measured": round(found, 2), "bar": told, "met": met}
