"""Figures of live sessions as a table for people, and against what was asked for."""

from typing import Any

ADDED_MS, SHARE, IDLE_KIB, START_S = 6.0, 0.85, 60.0, 25.0
COLUMNS = ("per_second", "p50_ms", "p95_ms", "p99_ms", "cpu_ms_each", "dropped", "errors")


def bars(result: dict[str, Any]) -> dict[str, Any]:
    """Each bar with what was measured; a figure is None where its load was not run."""
    inside, behind = result["embedded"], result["torchserve"]
    added = _difference(behind["closed"].get(1), inside["closed"].get(1))
    share = None
    if 16 in behind["closed"] and 16 in result["bare_per_second"]:
        share = behind["closed"][16]["per_second"] / result["bare_per_second"][16]
    return {
        "torchserve_adds_median_ms": _bar(added, f"at most {ADDED_MS:g}", ADDED_MS),
        "16_sessions_share_of_bare": _bar(share, f"at least {SHARE:g}", SHARE, more=True),
        "idle_session_kib": _bar(behind["idle_session_kib"], f"under {IDLE_KIB:g}", IDLE_KIB),
        "cold_start_s": _bar(behind["cold_start_s"], f"under {START_S:g}", START_S),
    }


def render(result: dict[str, Any]) -> str:
    """Markdown: the machine, the loads of both arms, the bars."""
    about = ", ".join(f"{name} {value}" for name, value in result["machine"].items() if value)
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


def _figures(figures: dict[str, Any]) -> list[Any]:
    return [figures.get(column, "") for column in COLUMNS]


def _row(cells: Any) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _difference(one: dict[str, Any] | None, other: dict[str, Any] | None) -> float | None:
    if one is None or other is None or "p50_ms" not in one or "p50_ms" not in other:
        return None
    return float(one["p50_ms"] - other["p50_ms"])


def _bar(found: float | None, told: str, limit: float, more: bool = False) -> dict[str, Any]:
    met = None if found is None else (found >= limit if more else found <= limit)
    return {"measured": None if found is None else round(found, 2), "bar": told, "met": met}
