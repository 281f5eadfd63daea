"""The citizen faces (176 x 176 grey, one noisy word each) to faces with weak labels."""

import csv
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np

from handlers.networks.variants import EXPRESSIONS
from handlers.training.datasets.affect.ferplus import decode_grey
from handlers.training.datasets.affect.records import AffectFaces
from handlers.training.datasets.folders import person_before_number

# One person's word says less than ten votes: those that agree on a word leave it about this share,
# and give most of the rest to neutral.
SHARE = 0.8


def read_citizen_faces(root: Path, size: int = 144) -> AffectFaces:
    """The faces of `citizen_faces.zip` below `root`, at `size` pixels, with their people.

    Faces whose word is none of EXPRESSIONS are left out.
    """
    with (root / "citizen_faces.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["emotion"] in EXPRESSIONS]
    images = []
    shares = np.zeros((len(rows), len(EXPRESSIONS)), np.float32)
    shares[:, EXPRESSIONS.index("neutral")] = 1 - SHARE
    with zipfile.ZipFile(root / "citizen_faces.zip") as archive:
        for index, row in enumerate(rows):
            grey = decode_grey(archive.read(row["image"]), row["image"])
            small = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)
            images.append(np.asarray(small, np.uint8))
            shares[index, EXPRESSIONS.index(row["emotion"])] += SHARE
    people = tuple(person_of(row["image"]) for row in rows)
    return AffectFaces.of_shares(np.stack(images), shares, people)


def person_of(name: str) -> str:
    """Whom a file shows; one whose name ends in no number shows someone of its own."""
    return person_before_number(Path(name)) or Path(name).stem


def is_held_out(person: str) -> bool:
    """Whether a person is among the fifth that nothing is learnt from."""
    return zlib.crc32(person.encode()) % 5 == 0


def split_people(faces: AffectFaces) -> tuple[AffectFaces, AffectFaces]:
    """The faces to learn from, and those of held-out people; nobody is in both."""
    held_out = np.array([is_held_out(str(person)) for person in faces.people])
    return faces.take(np.flatnonzero(~held_out)), faces.take(np.flatnonzero(held_out))
