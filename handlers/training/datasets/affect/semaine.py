"""SEMAINE's sessions to recordings (McKeown et al. 2010).

A session's folder holds the user's video and sound, and a trace of every rater and dimension:
`R1S17TUDV.txt` is rater 1, session 17, target user, dimension valence (`DA` arousal), with lines
of a time in seconds and a value in [-1, 1].
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handlers.training.datasets.affect.records import Floats, Recording
from handlers.training.datasets.affect.series import (
    SOUND_SUFFIXES,
    VIDEO_SUFFIXES,
    mean_of_raters,
    pair,
)

NAME = re.compile(r"R(?P<rater>\d+)S(?P<session>\d+)TU\w*D(?P<dimension>[VA])")
RATE_HZ = 50.0

Trace = tuple[NDArray[np.float64], NDArray[np.float64]]


def read_semaine(root: Path) -> list[Recording]:
    """Every session below `root` with a video of the user and raters of both dimensions.

    Labels are the raters' mean, fifty times a second, where all of them have begun and none has
    ended. The person is the session's user, as `people.csv` (session, user) in `root` names them;
    without that file every session counts as another person, which folds by person cannot trust.

    Raises ValueError where no session is found and for a trace that is no two columns.
    """
    people = _people(root / "people.csv")
    recordings = []
    for folder in sorted({path.parent for path in root.rglob("R*S*TU*D[VA].txt")}):
        found = _session(folder, people)
        if found is not None:
            recordings.append(found)
    if not recordings:
        raise ValueError(f"{root}: no session with a video and traces such as R1S17TUDV.txt")
    return recordings


def _session(folder: Path, people: dict[str, str]) -> Recording | None:
    traces: dict[str, list[Trace]] = {"V": [], "A": []}
    session = ""
    for path in sorted(folder.glob("*.txt")):
        match = NAME.fullmatch(path.stem)
        if match:
            session = match["session"]
            traces[match["dimension"]].append(_trace(path))
    files = sorted(path for path in folder.iterdir() if "user" in path.stem.lower())
    video = next((path for path in files if path.suffix.lower() in VIDEO_SUFFIXES), None)
    if video is None or not traces["V"] or not traces["A"]:
        return None
    sound = next((path for path in files if path.suffix.lower() in SOUND_SUFFIXES), None)
    times, labels = _labels(traces)
    return Recording(video, people.get(session, f"session {session}"), times, labels, sound=sound)


def _labels(traces: dict[str, list[Trace]]) -> tuple[NDArray[np.float64], Floats]:
    everyone = traces["V"] + traces["A"]
    begin = max(times[0] for times, _ in everyone)
    end = min(times[-1] for times, _ in everyone)
    times = np.arange(begin, end, 1 / RATE_HZ)
    return times, pair(mean_of_raters(traces["V"], times), mean_of_raters(traces["A"], times))


def _trace(path: Path) -> Trace:
    rows = np.loadtxt(path, ndmin=2)
    if rows.shape[1] != 2:
        raise ValueError(f"{path}: needed two columns, time and value, found {rows.shape[1]}")
    return rows[:, 0], rows[:, 1]


def _people(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = (line.split(",") for line in path.read_text(encoding="utf-8").splitlines() if line)
    return {session.strip(): user.strip() for session, user in rows}
