"""Sets of annotated faces in their official folders, by the names of layouts.

300-W (Sagonas et al. 2013, 2016) hands out `afw`, `helen/{trainset,testset}`, `ibug`,
`lfpw/{trainset,testset}` as pictures with `.pts` beside them, and its hidden test set as
`300W/{01_Indoor,02_Outdoor}/indoor_001.png`. The usual parts (Ren et al. 2014): train is
AFW and both training sets (3 148 faces), common both test sets (554), challenging iBUG
(135), full the last two (689), test the indoor and outdoor pictures (600).
"""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path

from handlers.training.datasets.folders import FaceSet, join, person_before_number, read_folder
from handlers.training.datasets.ls3d import read_ls3d

AUTO = "auto"


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


def read_menpo(root: Path) -> FaceSet:
    """The semi-frontal faces of Menpo 2D (Zafeiriou et al. 2017, 2018).

    The training release is one folder of pictures with `.pts` beside them, 68 points for the
    5 658 semi-frontal faces and 39 for the 1 906 profiles, which are counted in `skipped`; the
    test release parts them into `semifrontal` and `profile` (Deng et al. 2018 describe both).
    Raises ValueError where `root` is no folder, or a `.pts` file is broken.
    """
    faces = read_folder(root, "menpo")
    other = {key for key in faces.skipped if key.endswith(" points")} - {"39 points"}
    if other:
        raise ValueError(f"{root}: Menpo has faces of 68 or 39 points, found also {sorted(other)}")
    return faces


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


LAYOUTS: dict[str, Callable[[Path], FaceSet]] = {
    **{f"300w-{split}": partial(read_300w, split=split) for split in Split},
    "helen-train": partial(read_helen, split=Split.TRAIN),
    "helen-test": partial(read_helen, split=Split.TEST),
    "lfpw-train": partial(read_lfpw, split=Split.TRAIN),
    "lfpw-test": partial(read_lfpw, split=Split.TEST),
    "afw": read_afw,
    "menpo": read_menpo,
    "ls3d-w": read_ls3d,
    "youtube-faces": read_youtube_faces,
    "folder": read_folder,
}


def read_layout(root: Path, layout: str = AUTO) -> FaceSet:
    """The faces of a folder in one of `LAYOUTS`, or in the one that it looks like.

    `auto` takes a folder with the test pictures of 300-W for `300w-test`, one named
    `youtube_faces` (or inside such a one) for `youtube-faces`, one with `.t7` files for
    `ls3d-w`, and any other for pictures with `.pts` beside them.

    Raises:
        ValueError: the layout is unknown, the folder does not have it, or holds no face.
    """
    name = guess_layout(root) if layout == AUTO else layout
    if name not in LAYOUTS:
        raise ValueError(f"layout {name!r} is unknown, expected {AUTO} or one of {list(LAYOUTS)}")
    faces = LAYOUTS[name](root)
    if not len(faces):
        raise ValueError(f"{root}: no face in layout {name}, left out: {dict(faces.skipped)}")
    return faces


def guess_layout(root: Path) -> str:
    """The name of the layout that a folder seems to have."""
    if any((root / part / "01_Indoor").is_dir() for part in ("", "300W", "300w")):
        return "300w-test"
    if "youtube_faces" in root.resolve().parts:
        return "youtube-faces"
    if next(root.rglob("*.t7"), None) is not None:
        return "ls3d-w"
    return "folder"
