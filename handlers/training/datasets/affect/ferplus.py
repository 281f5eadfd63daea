"""FER+ to grey faces with weak valence and arousal (Barsoum et al. 2016).

A zip of 48 x 48 faces for each part beside one csv with ten people's votes on every face.
"""

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handlers.networks.variants import EXPRESSIONS
from handlers.training.datasets.affect.records import AffectFaces

PARTS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
NO_WORDS = ("unknown", "NF")
# Of ten people one says nearly anything: a single vote counts half.
AGREED, LONE = 2, 0.5


def read_ferplus(root: Path, part: str) -> AffectFaces:
    """The faces of a part ("Training", "PublicTest" or "PrivateTest") below `root`.

    A face's label is the mean place of its votes. Left out are faces with at least as many votes
    for unknown and not-a-face as for all words.

    Raises ValueError for another part and where the votes' file lacks a column.
    """
    if part not in PARTS:
        raise ValueError(f"no part {part!r} in FER+: one of {', '.join(PARTS)}")
    images, shares = [], []
    with zipfile.ZipFile(root / f"{PARTS[part]}.zip") as archive:
        files = {Path(name).stem: name for name in archive.namelist()}  # PNG or JPEG
        for name, votes, lost in read_votes(root / "fer2013new.csv", part):
            file = files.get(Path(name).stem)
            if file is None or lost >= sum(votes.values()):
                continue
            images.append(decode_grey(archive.read(file), file))
            shares.append(shares_of(votes))
    return AffectFaces.of_shares(np.stack(images), np.stack(shares), (None,) * len(images))


def shares_of(votes: Mapping[str, float]) -> NDArray[np.float32]:
    """Votes by word, as shares `(8,)` in the order of EXPRESSIONS."""
    counted = [votes[word] for word in EXPRESSIONS]
    weighed = np.array([n if n >= AGREED else LONE * n for n in counted], np.float32)
    return np.asarray(weighed / weighed.sum(), np.float32)


def read_votes(path: Path, part: str) -> list[tuple[str, dict[str, float], float]]:
    """Name, votes by word, and votes without a word, of every row of a part."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        needed = {"Usage", "Image name", *EXPRESSIONS, *NO_WORDS}
        if missing := needed - set(reader.fieldnames or ()):
            raise ValueError(f"{path}: no column {', '.join(sorted(missing))}")
        return [
            (
                row["Image name"],
                {word: float(row[word]) for word in EXPRESSIONS},
                sum(float(row[word]) for word in NO_WORDS),
            )
            for row in reader
            if row["Usage"] == part
        ]


def decode_grey(content: bytes, name: str) -> NDArray[np.uint8]:
    """An encoded picture in grey, `(H, W)` uint8. Raises ValueError where it is none."""
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ValueError(f"{name}: no picture that can be read")
    return np.asarray(grey, np.uint8)
