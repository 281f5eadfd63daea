"""The iBUG re-annotations, in the folders of their official archives, to faces.

300-W (Sagonas et al. 2013, 2016) hands out `afw`, `helen/{trainset,testset}`, `ibug`,
`lfpw/{trainset,testset}` as pictures with `.pts` beside them, and its hidden test set as
`300W/{01_Indoor,02_Outdoor}/indoor_001.png`. The usual parts (Ren et al. 2014): train is
AFW and both training sets (3 148 faces), common both test sets (554), challenging iBUG
(135), full the last two (689), test the indoor and outdoor pictures (600).
"""

from enum import StrEnum
from pathlib import Path

from handlers.training.datasets.folders import person_before_number, read_folder
from handlers.training.datasets.records import FaceSet, join


class Split(StrEnum):
    """The parts of 300-W by their usual names."""

    TRAIN = "train"
    COMMON = "common"
    CHALLENGING = "challenging"
    FULL = "full"
    TEST = "test"


PARTS_300W = {
    Split.TRAIN: ("lfpw/trainset", "helen/trainset", "afw"),
    Split.COMMON: ("lfpw/testset", "helen/testset"),
    Split.CHALLENGING: ("ibug",),
    Split.FULL: ("lfpw/testset", "helen/testset", "ibug"),
    Split.TEST: ("300W/01_Indoor", "300W/02_Outdoor"),
}


def read_300w(root: Path, split: Split) -> FaceSet:
    """One part of 300-W from the folder that holds `afw`, `helen`, `ibug`, `lfpw`, `300W`.

    Raises:
        ValueError: one of the folders of that part is missing; its name is in the message.
    """
    return join([read_folder(_part(root, name), name) for name in PARTS_300W[split]])


def read_helen(root: Path, split: Split) -> FaceSet:
    """HELEN (Le et al. 2012) in 300-W's annotation: `trainset` or `testset` under `root`."""
    return _train_or_test(root, split, "helen")


def read_lfpw(root: Path, split: Split) -> FaceSet:
    """LFPW (Belhumeur et al. 2011) in 300-W's annotation: `trainset` or `testset`."""
    return _train_or_test(root, split, "lfpw")


def read_afw(root: Path) -> FaceSet:
    """AFW (Zhu and Ramanan 2012) in 300-W's annotation; `ID_1` and `ID_2` share a photograph."""
    return read_folder(root, "afw")


def read_youtube_faces(root: Path) -> FaceSet:
    """Frames of YouTube Faces (Wolf et al. 2011), named `Person_Name_00.jpg`, with `.pts`."""
    return read_folder(root, person=person_before_number)


def _train_or_test(root: Path, split: Split, source: str) -> FaceSet:
    if split not in (Split.TRAIN, Split.TEST):
        raise ValueError(f"{source} has the parts train and test, not {split}")
    folder = f"{split}set"
    return read_folder(root / folder, f"{source}/{folder}")


def _part(root: Path, name: str) -> Path:
    """A part's folder; the archive of the test set may be unpacked with or without `300W/`."""
    short = name.removeprefix("300W/")
    for folder in (root / name, root / short, root / "300w" / short):
        if folder.is_dir():
            return folder
    raise ValueError(f"{root}: 300-W should have the folder {name}")
