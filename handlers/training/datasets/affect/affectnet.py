"""AffectNet's pictures with valence and arousal (Mollahosseini et al. 2019).

Both of its layouts: one csv with a row for each picture (`subDirectory_filePath`, the face's box,
`valence`, `arousal`), or `images/12.jpg` beside `annotations/12_val.npy` and `12_aro.npy`.
"""

import csv
from pathlib import Path

import numpy as np

from handlers.training.datasets.affect.records import AffectPicture

NO_LABEL = -2.0  # for what is no face, or of uncertain affect


def read_affectnet(root: Path, table: str | None = None) -> list[AffectPicture]:
    """The labelled pictures of `root / table` or, without a table, of `root / "images"`.

    Raises ValueError where there are none.
    """
    found = _from_table(root, root / table) if table else _from_folders(root)
    if not found:
        raise ValueError(f"{root}: no labelled picture")
    return found


def _from_table(root: Path, path: Path) -> list[AffectPicture]:
    pictures = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            valence, arousal = float(row["valence"]), float(row["arousal"])
            if NO_LABEL in (valence, arousal):
                continue
            x, y, w, h = (float(row[f"face_{name}"]) for name in ("x", "y", "width", "height"))
            image = root / row["subDirectory_filePath"]
            pictures.append(AffectPicture(image, valence, arousal, (x, y, x + w - 1, y + h - 1)))
    return pictures


def _from_folders(root: Path) -> list[AffectPicture]:
    pictures = []
    for image in sorted((root / "images").glob("*.jpg")):
        paths = (root / "annotations" / f"{image.stem}_{name}.npy" for name in ("val", "aro"))
        valence, arousal = (float(np.load(path, allow_pickle=False)) for path in paths)
        if NO_LABEL not in (valence, arousal):
            pictures.append(AffectPicture(image, valence, arousal))
    return pictures
