"""The two Yale face databases to pairs of a badly and a well lit picture (section 4.3.4).

Yale (Belhumeur et al. 1997): `subject01.centerlight`, `.leftlight`, `.rightlight` and more,
GIF pictures without a suffix; the archive names the first one `subject01.gif`. The centre
light is the ground truth. Extended Yale B (Georghiades et al. 2001, Lee et al. 2005):
`yaleB01_P00A+035E+40.pgm` is subject 1, pose 0, lamp at azimuth 35 and elevation 40
degrees; azimuth and elevation 0 are the ground truth. Pictures that failed end in `.bad`.
"""

import re
from pathlib import Path

from handlers.training.datasets.records import IlluminationPair

YALE = re.compile(r"(subject\d{2})\.(centerlight|leftlight|rightlight)(?:\.\w{3})?")
YALE_MISNAMED = {"subject01.gif": "subject01.centerlight"}
YALE_B = re.compile(r"(yaleB\d{2})_P(\d{2})A([+-]\d{3})E([+-]\d{2})\.(?:pgm|png|jpg)")


def read_yale(root: Path) -> list[IlluminationPair]:
    """Left and right light of every subject, each with the centre light as the truth.

    Raises:
        ValueError: no subject with both kinds of picture is in the folder itself.
    """
    lights: dict[str, dict[str, Path]] = {}
    for path in sorted(root.iterdir()):
        match = YALE.fullmatch(YALE_MISNAMED.get(path.name, path.name))
        if match:
            lights.setdefault(match[1], {})[match[2]] = path
    pairs = [
        IlluminationPair(path, found["centerlight"], subject)
        for subject, found in lights.items()
        for light, path in found.items()
        if light != "centerlight" and "centerlight" in found
    ]
    return _some(pairs, root, "subject01.centerlight and subject01.leftlight")


def read_extended_yale_b(root: Path) -> list[IlluminationPair]:
    """Every lamp position of every subject and pose, with the frontal lamp as the truth.

    Finds the pictures at any depth (`yaleB01/`, `CroppedYale/yaleB01/`). The picture without
    a lamp, `_Ambient`, is no pair, nor is a pose whose `A+000E+00` is missing.

    Raises:
        ValueError: there is no pair below the folder.
    """
    poses: dict[tuple[str, str], dict[tuple[int, int], Path]] = {}
    for path in sorted(root.rglob("yaleB*")):
        match = YALE_B.fullmatch(path.name)
        if match:
            lamp = (int(match[3]), int(match[4]))
            poses.setdefault((match[1], match[2]), {})[lamp] = path
    pairs = [
        IlluminationPair(path, lamps[0, 0], subject)
        for (subject, _), lamps in poses.items()
        for lamp, path in lamps.items()
        if lamp != (0, 0) and (0, 0) in lamps
    ]
    return _some(pairs, root, "yaleB01_P00A+000E+00.pgm and other lamp positions")


def _some(pairs: list[IlluminationPair], root: Path, expected: str) -> list[IlluminationPair]:
    if not pairs:
        raise ValueError(f"{root}: no pairs, expected pictures such as {expected}")
    return pairs
