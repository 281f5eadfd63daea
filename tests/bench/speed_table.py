"""The tables of speed, in Markdown, of what the other benchmarks have written.

python -m tests.bench.speed_table [--results tests/bench/results]
"""

import argparse
import json
from pathlib import Path
from typing import Any

from tests.serving.deployment import ROOT

# Figures of `against` and what they are, each in milliseconds, seconds or megabytes.
FIGURES = {
    "align_ms": "`/align`, one face, 640 x 480, ms",
    "align_cpu_ms": "its processor time, ms",
    "step_ms": "a tracking step on one thread, its networks and what lies between them, ms",
    "step_cpu_ms": "all of it with decoding, attributes and the state, processor time, ms",
    "track_ms": "a frame over the socket of `/track`, ms",
    "track_p95_ms": "its 95th percentile, ms",
    "track_cpu_ms": "its processor time, ms",
    "track_frame_ms_of_16_sessions": "a frame of 16 sessions, ms",
    "torchserve_frame_ms_of_16_sessions": "a frame of 16 sessions behind TorchServe, ms",
    "clip_ms": "`POST /affect`, 10 s with sound, `avi-gas`, ms",
    "clip_first_line_ms": "its first line, ms",
    "clip_cpu_ms": "its processor time, ms",
    "ready_s": "from start to ready, s",
    "resident_mb": "resident memory after clips, MB",
    "download_mb": "download of a first `make run` without a GPU, MB",
}
SCALES = {
    "align_ms_by_faces": "`/align`, faces of 640 x 480",
    "align_ms_by_size": "`/align`, one face, pixels",
    "affect_ms_by_seconds": "`POST /affect`, seconds of a clip",
}


def compared(found: dict[str, Any]) -> list[list[object]]:
    """A row a figure: here, there, and the first over the second."""
    figures = found["figures"]
    rows: list[list[object]] = []
    for name, told in FIGURES.items():
        if name in figures:
            ours, theirs, ratio = figures[name].values()
            rows.append([told, ours, theirs, ratio])
    there = next(name for name in next(iter(figures.values())) if name not in ("here", "ratio"))
    return [["", "now", there, "ratio"], *rows]


def scaled(found: dict[str, Any]) -> list[list[object]]:
    """A row a size: how long it takes."""
    rows: list[list[object]] = [["", "", "ms"]]
    for name, told in SCALES.items():
        rows += [[told, size, took] for size, took in found[name].items()]
    return rows


def carried(found: dict[str, Any]) -> list[list[object]]:
    """A row a load of sessions: what comes through, and how late."""
    rows: list[list[object]] = [["", "sessions", "frames a second", "p50 ms", "p95 ms"]]
    for arm in ("embedded", "torchserve"):
        rows += [
            [arm, count, *(load[name] for name in ("per_second", "p50_ms", "p95_ms"))]
            for count, load in found[arm]["closed"].items()
        ]
    return rows


def cost(found: dict[str, Any]) -> list[list[object]]:
    """What a frame costs the service itself."""
    told = "the service's own processor time of a frame, ms"
    return [["", "ms"], [told, found["service_ms_each"]], ["Redis', ms", found["redis_ms_each"]]]


TABLES = {
    "against": compared,
    "downloads": compared,
    "scaling": scaled,
    "live": carried,
    "service_cost": cost,
}


def render(folder: Path) -> str:
    """Every table whose results are there, behind the command that has measured it."""
    told = []
    for name, tabulate in TABLES.items():
        if (path := folder / f"{name}.json").is_file():
            found = json.loads(path.read_text())
            head, *rows = tabulate(found)
            lines = [head, ["---"] * len(head), *rows]
            table = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
            told.append(f"`{found['command']}`\n\n{table}\n")
    return "\n".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "tests/bench/results")
    print(render(parser.parse_args().results))


if __name__ == "__main__":
    main()
