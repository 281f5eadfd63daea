"""What every reader yields: one face with its landmarks, or one face in two lights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class FaceSample:
    """One annotated face of a picture.

    Attributes:
        image_path: the picture, any size; a picture with two faces stands in two samples.
        landmarks: float32 `(68, 2)` `(x, y)`, pixels of that picture counted from 0.
        person: who it is, where the data set tells; splits keep a person on one side.
        source: the set and part it comes from, such as `helen/testset`.
    """

    image_path: Path
    landmarks: NDArray[np.float32]
    person: str | None
    source: str


@dataclass(frozen=True, slots=True)
class FaceSet:
    """The faces of one set, and how many files were left out for which reason."""

    samples: tuple[FaceSample, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[FaceSample]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True, slots=True)
class IlluminationPair:
    """One face badly lit and the same subject, pose and expression well lit.

    The two pictures are as the set gives them: aligned to the pixel in the Yale sets,
    where only the lamp changes, and merely alike in SOF, which was filmed by hand.
    """

    dark_path: Path
    lit_path: Path
    subject: str


def join(sets: list[FaceSet]) -> FaceSet:
    """All faces of several sets, their skip counts added up."""
    skipped: dict[str, int] = {}
    for part in sets:
        for reason, count in part.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return FaceSet(tuple(sample for part in sets for sample in part), skipped)
