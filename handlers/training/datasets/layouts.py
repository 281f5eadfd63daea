"""The name of a layout and a folder to its faces: what the command line and recipes call."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from handlers.training.datasets.folders import read_folder
from handlers.training.datasets.ibug import (
    Split,
    read_300w,
    read_afw,
    read_helen,
    read_lfpw,
    read_youtube_faces,
)
from handlers.training.datasets.ls3d import read_ls3d
from handlers.training.datasets.menpo import read_menpo
from handlers.training.datasets.records import FaceSet

AUTO = "auto"
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
