"""The Menpo 2D challenge (Zafeiriou et al. 2017, 2018) in its official folders to faces.

The training release is one folder of pictures with `.pts` beside them, 68 points for the
5 658 semi-frontal faces and 39 for the 1 906 profiles; the test release parts them into
`semifrontal` and `profile` (Deng et al. 2018 describe both).
"""

from pathlib import Path

from handlers.training.datasets.folders import read_folder
from handlers.training.datasets.records import FaceSet


def read_menpo(root: Path) -> FaceSet:
    """The semi-frontal faces; profiles are counted in `skipped` under `39 points`.

    Args:
        root: the training folder, or the one that holds `semifrontal` and `profile`.

    Raises:
        ValueError: `root` is no folder, or a `.pts` file is broken.
    """
    faces = read_folder(root, "menpo")
    other = {key for key in faces.skipped if key.endswith(" points")} - {"39 points"}
    if other:
        raise ValueError(f"{root}: Menpo has faces of 68 or 39 points, found also {sorted(other)}")
    return faces
