"""Aff-Wild2's valence and arousal to recordings (Kollias and Zafeiriou 2019).

`VA_Estimation_Challenge/Train_Set/NAME.txt` has a line for each frame under a heading, -5 where
the frame has no label; `videos/NAME.mp4` is the video. Of a video with two people the names end in
`_left` and `_right`, and both are found in the one video.
"""

from pathlib import Path

import cv2
import numpy as np

from handlers.training.datasets.affect.records import Recording
from handlers.training.datasets.affect.series import (
    VIDEO_SUFFIXES,
    column,
    find_media,
    pair,
    read_table,
)

NO_LABEL = -5.0


def read_aff_wild2(root: Path, part: str = "Train_Set") -> list[Recording]:
    """Every annotated video of a part ("Train_Set" or "Validation_Set"), at its labelled frames.

    Times are those of frames counted at the rate that the video names. Raises ValueError where the
    part has no annotated video.
    """
    recordings = []
    for path in sorted((root / "VA_Estimation_Challenge" / part).glob("*.txt")):
        name = path.stem.removesuffix("_left").removesuffix("_right")
        video = find_media(root / "videos", name, VIDEO_SUFFIXES)
        if video is None:
            continue
        table = read_table(path, ",")
        valence, arousal = column(table, "valence", path), column(table, "arousal", path)
        labelled = (valence != NO_LABEL) & (arousal != NO_LABEL)
        times = np.flatnonzero(labelled) / _rate_hz(video)
        labels = pair(valence[labelled], arousal[labelled])
        recordings.append(Recording(video, path.stem, times, labels))
    if not recordings:
        raise ValueError(f"{root}: no annotated video of {part!r} below it")
    return recordings


def _rate_hz(video: Path) -> float:
    rate = float(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FPS))
    if not rate > 0:
        raise ValueError(f"{video}: no video that names its frame rate")
    return rate
