"""Folders of faces and speech, as recipes name them, into memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from handlers.training.affect.made.faces import Framing, WeightedFaces
from handlers.training.affect.made.speech import Voices
from handlers.training.affect.voices.heard import VERSIONS, hear_all
from handlers.training.datasets.affect.pictures import (
    PARTS,
    read_citizen_faces,
    read_ferplus,
    split_people,
)
from handlers.training.datasets.affect.records import AffectFaces, Utterance
from handlers.training.datasets.affect.speech import SPOKEN

CITIZEN = "citizen"
# Below the folder of runs.
HEARD = "voices"


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
    """A set of speech below a folder, "ravdess" or "emodb", and the actors who are learned from,
    none standing for all. Who is not `learned` from may talk in the background."""

    folder: str
    set: str = "ravdess"
    actors: tuple[str, ...] = ()
    learned: bool = True


def read_faces(data: Path, source: FaceSource) -> AffectFaces:
    """The faces of a source. Raises ValueError for an unknown part."""
    if source.part == CITIZEN:
        return split_people(read_citizen_faces(data / source.folder))[0]
    if source.part not in PARTS:
        raise ValueError(f"no part {source.part!r}: one of {', '.join(PARTS)}, {CITIZEN}")
    return read_ferplus(data / source.folder, source.part)


def read_face_sets(
    data: Path, sources: Sequence[FaceSource], framing: Framing
) -> list[WeightedFaces]:
    """The framed faces of several sources with their shares."""
    return [WeightedFaces(framing(read_faces(data, source)), source.share) for source in sources]


def read_utterances(
    data: Path, sources: Sequence[SpeechSource]
) -> tuple[list[Utterance], list[int]]:
    """All utterances of the sources' sets, and the numbers of those that are learned from.

    An actor is called by the set as well. Raises ValueError for an unknown set, and where nobody
    is left to learn from.
    """
    utterances: list[Utterance] = []
    rows: list[int] = []
    for source in sources:
        if source.set not in SPOKEN:
            raise ValueError(f"no set {source.set!r} of voices: one of {', '.join(SPOKEN)}")
        for one in SPOKEN[source.set].read(data / source.folder):
            if source.learned and (not source.actors or one.actor in source.actors):
                rows.append(len(utterances))
            utterances.append(replace(one, actor=f"{source.set}-{one.actor}"))
    if not rows:
        asked = ", ".join(actor for source in sources for actor in source.actors)
        raise ValueError(f"nobody's voice to learn from: none of the actors {asked}")
    return utterances, rows


def read_voices(
    data: Path, sources: Sequence[SpeechSource], kept: Path, channels: bool = False
) -> Voices:
    """Read the voices to learn from as Mel power, with `channels` also by several channels.

    Everybody is heard once, which takes many minutes, and kept in a folder.
    """
    utterances, rows = read_utterances(data, sources)
    heard = hear_all(utterances, kept)
    spoken = [utterances[row] for row in rows]
    versions = range(1, VERSIONS if channels else 1)
    return Voices(
        tuple(heard.power(row, 0) for row in rows),
        np.array([[one.valence, one.arousal] for one in spoken], np.float32),
        tuple(one.emotion for one in spoken),
        tuple(one.actor for one in spoken),
        tuple(tuple(heard.power(row, version) for version in versions) for row in rows),
    )
