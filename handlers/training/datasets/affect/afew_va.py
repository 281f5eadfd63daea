"""AFEW-VA's folders of frames to recordings (Kossaifi et al. 2017).

`001/001.json` beside `001/00000.png`, ... holds the actor and, for every frame, 68 landmarks and
valence and arousal as whole numbers in [-10, 10].
"""

import json
from pathlib import Path

import numpy as np

from handlers.training.datasets.affect.records import Recording
from handlers.training.datasets.affect.series import pair

RATE_HZ = 25.0
SCALE = 10.0


def read_afew_va(root: Path) -> list[Recording]:
    """Every clip below `root`; labels are brought from [-10, 10] to [-1, 1].

    The set has no sound. Raises ValueError where there is no clip, and for one without frames.
    """
    recordings = [_clip(path) for path in sorted(root.rglob("*.json")) if _is_clip(path)]
    if not recordings:
        raise ValueError(f"{root}: no folder with a json file of its own name")
    return recordings


def _is_clip(path: Path) -> bool:
    return path.stem == path.parent.name


def _clip(path: Path) -> Recording:
    content = json.loads(path.read_text(encoding="utf-8"))
    frames = [content["frames"][name] for name in sorted(content["frames"])]
    if not frames:
        raise ValueError(f"{path}: no frames in it")
    numbers = [int(name) for name in sorted(content["frames"])]
    valence, arousal = (
        np.array([float(frame[name]) for frame in frames]) / SCALE
        for name in ("valence", "arousal")
    )
    return Recording(
        path.parent,
        str(content.get("actor", path.stem)),
        np.array(numbers, np.float64) / RATE_HZ,
        pair(valence, arousal),
        np.array([frame["landmarks"] for frame in frames], np.float32),
    )
