"""Specs on Faces, second version, to pairs of a badly and a well lit picture (section 4.3.4).

SOF (Afifi and Abdelhamed 2019) names a picture by its metadata:
`AbdA_00013_m_31_i_fr_nc_sr_2016_2_e0_nl_o.jpg` is subject AbdA, number 13, male, 31 years,
indoors, frontal, not cropped, surprised, year, part, glasses only, no filter, original. The
name does not say how well it is lit: the record with the same subject and number in
`metadata.mat` (or `.json`) does, in its illumination field: 0 good, 1 bad.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.training.datasets.records import IlluminationPair

# subject, number, sex, age, place, view, cropped, emotion, year, part; only unfiltered originals
NAME = re.compile(
    r"(?P<subject>[A-Za-z]{4})_(?P<number>\d{5})_[mf]_\d+_[io]_(?P<view>fr|nf)_(?:cr|nc)_"
    r"(?P<emotion>[a-z]{2})_\d{4}_\w+_e0_nl_o\.jpg"
)
GOOD = 0


@dataclass(frozen=True, slots=True)
class _Picture:
    path: Path
    subject: str
    number: int
    view: str
    emotion: str


def read_sof(root: Path) -> list[IlluminationPair]:
    """Each badly lit picture with the well lit one of the same subject and emotion.

    Among several the same view comes first, then the nearest number. Subjects and emotions
    that were never well lit give no pair.

    Raises:
        ValueError: no metadata below `root`, or no pair in it.
    """
    quality = _illumination(_metadata(root))
    good: list[_Picture] = []
    bad: list[_Picture] = []
    for picture in _pictures(root):
        grade = quality.get((picture.subject, picture.number))
        if grade is not None:
            (good if grade == GOOD else bad).append(picture)
    pairs = [
        IlluminationPair(dark.path, lit.path, dark.subject)
        for dark in bad
        if (lit := _truth(dark, good)) is not None
    ]
    if not pairs:
        raise ValueError(f"{root}: no badly lit picture has a well lit one of its subject")
    return pairs


def _truth(dark: _Picture, good: list[_Picture]) -> _Picture | None:
    """The well lit picture that comes closest to a badly lit one."""
    same = [p for p in good if (p.subject, p.emotion) == (dark.subject, dark.emotion)]
    distance = {p: (p.view != dark.view, abs(p.number - dark.number)) for p in same}
    return min(same, key=distance.__getitem__, default=None)


def _pictures(root: Path) -> Iterable[_Picture]:
    for path in sorted(root.rglob("*_e0_nl_o.jpg")):
        match = NAME.fullmatch(path.name)
        if match:
            yield _Picture(path, match["subject"], int(match["number"]), match["view"],
                           match["emotion"])  # fmt: skip


def _metadata(root: Path) -> list[Mapping[str, Any]]:
    for path in sorted(root.rglob("metadata.*")):
        if path.suffix == ".json":
            records: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            return records
        if path.suffix == ".mat":
            from scipy.io import loadmat  # type: ignore[import-untyped]

            return list(loadmat(path, simplify_cells=True)["metadata"])
    raise ValueError(f"{root}: expected SOF's metadata.mat or metadata.json")


def _illumination(records: list[Mapping[str, Any]]) -> dict[tuple[str, int], int]:
    """The illumination grade by subject and number, whatever case the fields are in."""
    grades = {}
    for record in records:
        fields = {key.lower(): value for key, value in record.items()}
        grade = next((key for key in fields if key.startswith("illum")), None)
        if grade is None or "filename" not in fields:
            raise ValueError(f"SOF's records need filename and illumination, found {list(record)}")
        subject, number = str(fields["filename"]).split("_")[:2]
        grades[subject, int(number)] = int(fields[grade])
    return grades
