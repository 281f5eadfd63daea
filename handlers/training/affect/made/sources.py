"""Folders of faces and speech, as recipes name them, into memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handlers.training.affect.made.faces import FaceSet
from handlers.training.affect.made.speech import Voices
from handlers.training.datasets.affect.citizen import read_citizen_faces, split_people
from handlers.training.datasets.affect.ferplus import PARTS, read_ferplus
from handlers.training.datasets.affect.ravdess import read_ravdess
from handlers.training.datasets.affect.records import AffectFaces, Utterance
from handlers.training.datasets.affect.sound import read_mel_power

CITIZEN = "citizen"


@dataclass(frozen=True)
class FaceSource:
    """A part of a set of faces below a folder, and the share of a batch drawn from it.

    `part` is FER+'s "Training", "PublicTest" or "PrivateTest", or "citizen": the people of the
    citizen faces who are not held out.
    """

    folder: str
    part: str
    share: float = 1.0


@dataclass(frozen=True)
class SpeechSource:
    """RAVDESS below a folder, and the actors who are heard."""

    folder: str
    actors: tuple[str, ...]


def read_faces(data: Path, source: FaceSource) -> AffectFaces:
    """The faces of a source. Raises ValueError for an unknown part."""
    if source.part == CITIZEN:
        return split_people(read_citizen_faces(data / source.folder))[0]
    if source.part not in PARTS:
        raise ValueError(f"no part {source.part!r}: one of {', '.join(PARTS)}, {CITIZEN}")
    return read_ferplus(data / source.folder, source.part)


def read_face_sets(data: Path, sources: Sequence[FaceSource]) -> list[FaceSet]:
    """The faces of several sources with their shares."""
    return [FaceSet(read_faces(data, source), source.share) for source in sources]


def read_voices(data: Path, source: SpeechSource) -> Voices:
    """The utterances of a source's actors, as Mel power: a minute and a half for all of RAVDESS."""
    spoken = spoken_by(data, source)
    return Voices(
        tuple(read_mel_power(one.path) for one in spoken),
        np.array([[one.valence, one.arousal] for one in spoken], np.float32),
        tuple(one.emotion for one in spoken),
        tuple(one.actor for one in spoken),
    )


def spoken_by(data: Path, source: SpeechSource) -> list[Utterance]:
    """What a source's actors say. Raises ValueError where none of them is there."""
    spoken = [one for one in read_ravdess(data / source.folder) if one.actor in source.actors]
    if not spoken:
        raise ValueError(f"{data / source.folder}: none of the actors {', '.join(source.actors)}")
    return spoken
