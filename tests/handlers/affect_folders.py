"""Folders laid out as FER+ and RAVDESS are, filled with shades and noise."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import soundfile

from handlers.processing.mel import RATE_HZ

SINGLE = """
size = "tiny"
[schedule]
steps = 2
batch = 4
rate = 1e-3
seed = 1
warmup = 1
precision = "32-true"
"""
HEAD = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
WORDS = HEAD.split(",")[2:10]


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(round(seconds * RATE_HZ)) * 3000).astype(np.int16)


def write_faces(root: Path, part: str, count: int) -> None:
    root.mkdir(parents=True, exist_ok=True)
    rows = [HEAD]
    with zipfile.ZipFile(root / f"{part}.zip", "w") as archive:
        for index in range(count):
            face = np.full((48, 48), 15 * index, np.uint8)
            archive.writestr(f"face{index}.png", cv2.imencode(".png", face)[1].tobytes())
            votes = [10 if place == index % len(WORDS) else 0 for place in range(len(WORDS))]
            rows.append(f"PrivateTest,face{index}.png," + ",".join(map(str, [*votes, 0, 0])))
    (root / "fer2013new.csv").write_text("\n".join(rows) + "\n")


def write_speech(root: Path) -> None:
    for actor in ("20", "21"):
        folder = root / f"Actor_{actor}"
        folder.mkdir(parents=True)
        for emotion in ("03", "04", "05"):
            path = folder / f"03-01-{emotion}-02-01-01-{actor}.wav"
            soundfile.write(path, speech(1.5, int(emotion)), RATE_HZ)
