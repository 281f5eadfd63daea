"""SEWA as the AVEC challenges hand it out, to recordings (Kossaifi et al. 2019).

`labels/Train_DE_01.csv` holds name, time in seconds, arousal, valence and liking, ten times a
second, split by semicolons; `video/Train_DE_01.avi` and `audio/Train_DE_01.wav` lie beside.
"""

from pathlib import Path

from handlers.training.datasets.affect.records import Recording
from handlers.training.datasets.affect.series import (
    SOUND_SUFFIXES,
    VIDEO_SUFFIXES,
    column,
    find_media,
    pair,
    read_table,
)


def read_sewa(root: Path) -> list[Recording]:
    """Every recording with labels below `root / "labels"` and a video.

    Raises ValueError for a label file without the columns, and where nothing is found.
    """
    recordings = []
    for path in sorted((root / "labels").glob("*.csv")):
        video = find_media(root / "video", path.stem, VIDEO_SUFFIXES)
        if video is None:
            continue
        table = read_table(path, ";")
        labels = pair(column(table, "valence", path), column(table, "arousal", path))
        times = next(
            (column(table, name, path) for name in ("time", "timestamp") if name in table), None
        )
        if times is None:
            raise ValueError(f"{path}: no column time or timestamp, found {', '.join(table)}")
        sound = find_media(root / "audio", path.stem, SOUND_SUFFIXES)
        recordings.append(Recording(video, path.stem, times, labels, sound=sound))
    if not recordings:
        raise ValueError(f"{root}: no labels/*.csv with a video of its name in video/")
    return recordings
