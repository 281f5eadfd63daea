"""Sets of single faces with labels: FER+, citizen faces, AffectNet; and how each is cut out."""

import csv
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from handlers.networks.variants import EXPRESSIONS
from handlers.predictors.affect.estimator import in_order
from handlers.predictors.alignment import Alignment, AlignmentPredictor
from handlers.processing.arrays import Floats, Image
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.affect.records import AffectFaces, AffectPicture
from handlers.training.datasets.folders import person_before_number

# Where a face lies in its picture before anybody looked: its side, and how far down its middle is,
# as shares of the picture's side.
SIDE, DOWN = 0.84, 0.524
# What counts as found: how sure the aligner is, and how large the box is beside the picture.
SURE = 0.5
SIZES = (0.5, 1.15)
AT_ONCE = 16
NO_LABEL = -2.0  # for what is no face, or of uncertain affect
PARTS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
NO_WORDS = ("unknown", "NF")
# Of ten people one says nearly anything: a single vote counts half.
AGREED, LONE = 2, 0.5
# One person's word says less than ten votes: those that agree on a word leave it about this share,
# and give most of the rest to neutral.
SHARE = 0.8


def frame_faces(images: Sequence[Image], aligner: AlignmentPredictor) -> Floats:
    """Return the boxes `(N, 4)` of the landmarks of grey pictures `(S, S)` of one set.

    Where they are not found, a box is the median of all.
    """
    boxes, found = [], []
    guesses = [whole_box(image.shape[0]) for image in images]
    for image, face in zip(images, _looks(images, guesses, aligner), strict=True):
        box = bounding_box(face.landmarks)
        share = float((box[2:] - box[:2]).max()) / image.shape[0]
        boxes.append(box)
        found.append(face.confidence >= SURE and SIZES[0] <= share <= SIZES[1])
    boxes_found, seen = np.stack(boxes).astype(np.float32), np.array(found)
    usual = np.median(boxes_found[seen] if seen.any() else boxes_found, axis=0)
    return np.where(seen[:, None], boxes_found, usual).astype(np.float32)


def actions_of(
    images: Sequence[Image], boxes: Sequence[Floats], aligner: AlignmentPredictor
) -> list[Floats | None]:
    """Look at grey faces `(S, S)` in their landmarks' boxes for their actions; None where the
    aligner does not tell."""
    return [in_order(face.actions) for face in _looks(images, boxes, aligner)]


def _looks(
    images: Sequence[Image], boxes: Sequence[Floats], aligner: AlignmentPredictor
) -> Iterator[Alignment]:
    """Look once at each grey face in its box."""
    options = aligner.options
    for begin in range(0, len(images), AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        pictures = [np.repeat(image[:, :, None], 3, axis=2) for image in images[part]]
        crops = [Crop.around(box, options.context, options.crop_px) for box in boxes[part]]
        yield from aligner.look(pictures, crops, denoise=False)


def crop_framed(image: Image, box: Floats, context: float, size: int = 128) -> Image:
    """Return the crop `(size, size, 3)` of a grey face, its border repeated where it ends.

    A camera's picture goes on around a face; a set's ends there.
    """
    matrix = Crop.around(box, context, size).matrix()
    crop = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.repeat(np.asarray(crop, np.uint8)[:, :, None], 3, axis=2)


def whole_box(side: int) -> Floats:
    """Guess the box of the landmarks of a face that fills a picture of so many pixels."""
    half = SIDE * side / 2
    middle = np.array([side / 2, DOWN * side])
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


def read_affectnet(root: Path, table: str | None = None) -> list[AffectPicture]:
    """Read AffectNet's labelled pictures (Mollahosseini et al. 2019), in either of its layouts.

    A `table` has a row for each picture: `subDirectory_filePath`, the face's box, `valence` and
    `arousal`. Without one, `images/12.jpg` lies beside `annotations/12_val.npy` and `12_aro.npy`.
    Raises ValueError where there is no labelled picture.
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


def read_ferplus(root: Path, part: str) -> AffectFaces:
    """Read the faces of a part of FER+ ("Training", "PublicTest" or "PrivateTest"; Barsoum et al.
    2016).

    A zip of 48 x 48 faces for each part lies beside one csv with ten people's votes. A face's
    label is the mean place of its votes. Left out are faces with at least as many votes for
    unknown and not-a-face as for all words.

    Raises ValueError for another part and where the votes' file lacks a column.
    """
    if part not in PARTS:
        raise ValueError(f"no part {part!r} in FER+: one of {', '.join(PARTS)}")
    images, shares = [], []
    with zipfile.ZipFile(root / f"{PARTS[part]}.zip") as archive:
        files = {Path(name).stem: name for name in archive.namelist()}  # PNG or JPEG
        for name, votes, lost in read_votes(root / "fer2013new.csv", part):
            file = files.get(Path(name).stem)
            if file is None or lost >= sum(votes.values()):
                continue
            images.append(decode_grey(archive.read(file), file))
            shares.append(shares_of(votes))
    return AffectFaces.of_shares(np.stack(images), np.stack(shares), (None,) * len(images))


def shares_of(votes: Mapping[str, float]) -> Floats:
    """Return votes by word, as shares `(8,)` in the order of EXPRESSIONS."""
    counted = [votes[word] for word in EXPRESSIONS]
    weighed = np.array([n if n >= AGREED else LONE * n for n in counted], np.float32)
    return np.asarray(weighed / weighed.sum(), np.float32)


def read_votes(path: Path, part: str) -> list[tuple[str, dict[str, float], float]]:
    """Read name, votes by word, and votes without a word, of every row of a part."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        needed = {"Usage", "Image name", *EXPRESSIONS, *NO_WORDS}
        if missing := needed - set(reader.fieldnames or ()):
            raise ValueError(f"{path}: no column {', '.join(sorted(missing))}")
        return [
            (
                row["Image name"],
                {word: float(row[word]) for word in EXPRESSIONS},
                sum(float(row[word]) for word in NO_WORDS),
            )
            for row in reader
            if row["Usage"] == part
        ]


def decode_grey(content: bytes, name: str) -> Image:
    """Return an encoded picture in grey, `(H, W)` uint8. Raises ValueError where it is none."""
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ValueError(f"{name}: no picture that can be read")
    return np.asarray(grey, np.uint8)


def read_citizen_faces(root: Path, size: int = 144) -> AffectFaces:
    """Read the faces of `citizen_faces.zip` (176 x 176 grey), at `size` pixels, with their people.

    Each has one noisy word. Faces whose word is none of EXPRESSIONS are left out.
    """
    with (root / "citizen_faces.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["emotion"] in EXPRESSIONS]
    images = []
    shares = np.zeros((len(rows), len(EXPRESSIONS)), np.float32)
    shares[:, EXPRESSIONS.index("neutral")] = 1 - SHARE
    with zipfile.ZipFile(root / "citizen_faces.zip") as archive:
        for index, row in enumerate(rows):
            grey = decode_grey(archive.read(row["image"]), row["image"])
            small = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)
            images.append(np.asarray(small, np.uint8))
            shares[index, EXPRESSIONS.index(row["emotion"])] += SHARE
    people = tuple(person_of(row["image"]) for row in rows)
    return AffectFaces.of_shares(np.stack(images), shares, people)


def person_of(name: str) -> str:
    """Tell whom a file shows; one whose name ends in no number shows someone of its own."""
    return person_before_number(Path(name)) or Path(name).stem


def is_held_out(person: str) -> bool:
    """Tell whether a person is among the fifth that nothing is learnt from."""
    return zlib.crc32(person.encode()) % 5 == 0


def split_people(faces: AffectFaces) -> tuple[AffectFaces, AffectFaces]:
    """Return the faces to learn from, and those of held-out people; nobody is in both."""
    held_out = np.array([is_held_out(str(person)) for person in faces.people])
    return faces.take(np.flatnonzero(~held_out)), faces.take(np.flatnonzero(held_out))
