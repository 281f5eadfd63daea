"""RECOLA's tables of raters, and any set laid out like them, to recordings (Ringeval et al. 2013).

`valence/P16.csv` and `arousal/P16.csv` hold a time in seconds and a column for every rater, split
by semicolons or commas; `video/P16.mp4` and `audio/P16.wav` lie beside.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handlers.training.datasets.affect.records import Recording
from handlers.training.datasets.affect.series import (
    SOUND_SUFFIXES,
    VIDEO_SUFFIXES,
    column,
    find_media,
    mean_of_raters,
    pair,
    read_table,
)

Trace = tuple[NDArray[np.float64], NDArray[np.float64]]


def read_recola(root: Path) -> list[Recording]:
    """Every person with both tables and a video; labels are the raters' mean at valence's times.

    Raises ValueError for a table without times or raters, and where nobody is found.
    """
    recordings = []
    for path in sorted((root / "valence").glob("*.csv")):
        other = root / "arousal" / path.name
        video = find_media(root / "video", path.stem, VIDEO_SUFFIXES)
        if video is None or not other.is_file():
            continue
        traces = _raters(path)
        times = traces[0][0]
        labels = pair(mean_of_raters(traces, times), mean_of_raters(_raters(other), times))
        sound = find_media(root / "audio", path.stem, SOUND_SUFFIXES)
        recordings.append(Recording(video, path.stem, times, labels, sound=sound))
    if not recordings:
        raise ValueError(f"{root}: nobody with valence/*.csv, arousal/*.csv and video/*")
    return recordings


def _raters(path: Path) -> list[Trace]:
    first = path.read_text(encoding="utf-8-sig").split("\n", 1)[0]
    table = read_table(path, ";" if ";" in first else ",")
    times = column(table, "time", path)
    raters = [(times, values) for name, values in table.items() if name.lower() != "time"]
    if not raters:
        raise ValueError(f"{path}: no rater's column beside the time")
    return raters
