"""Recordings with valence and arousal over time, as recipes name them, to what is learnt from."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

from handlers.checkpoint import CheckpointError
from handlers.processing.arrays import Bools, Doubles, Floats, Image, Ints
from handlers.processing.mel import BANDS, SILENCE_DB, WINDOW, level_db, mel_power, pcm_to_samples
from handlers.processing.mel_stream import column_at
from handlers.training.affect.made.faces import MARGIN
from handlers.training.datasets.affect.pictures import read_affectnet
from handlers.training.datasets.affect.recordings import (
    AFF_WILD2,
    AFFECTNET,
    FOLDS,
    RECORDED,
    folds_of,
    read_aff_wild2,
)
from handlers.training.datasets.affect.records import AffectPicture, Recording
from handlers.training.datasets.affect.speech import sound_of
from handlers.training.datasets.affect.watching import (
    CROP_PX,
    WORKING_RATE_HZ,
    Follower,
    crop_of_picture,
    labels_at,
    load_follower,
    watch,
)
from handlers.training.loop import make_fabric
from handlers.training.recipe import RecipeError

TRACKER = "dcrt"
PICTURES_A_FILE = 1000
CACHE = "recordings"
# Faces are kept a little wider than they are served, to be turned and shifted.
STORED_PX = round(CROP_PX * MARGIN)
QUALITY = 92
LOUDEST = 6e4  # of Mel power: half precision ends at 65 504
FORMAT = 1


@dataclass(frozen=True)
class RecordingSource:
    """Recordings below a folder in one of the layouts, at `rate_hz` moments a second.

    With `fold`, counted from 1, nothing is learnt from the people of that fold of `folds`: those
    that `countenance evaluate affect --by-fold` measures the model on. `part` is the part of
    Aff-Wild2, or AffectNet's table; both come with a part for measuring, and have no folds.
    `tracker` is the model store whose tracker follows faces in sets without landmarks.
    """

    folder: str
    layout: str
    part: str | None = None
    fold: int | None = None
    folds: int = FOLDS
    rate_hz: float = WORKING_RATE_HZ
    tracker: str = "model_store"

    @property
    def label(self) -> str:
        """Return what runs are told apart by."""
        part = "" if self.part is None else f"-{Path(self.part).stem}"
        fold = "" if self.fold is None else f"-without-{self.fold}-of-{self.folds}"
        return f"{self.layout}{part}{fold}"


@dataclass(frozen=True, eq=False)
class StoredRecording:
    """One recording as it is learnt from; faces and sound stay on disk.

    Attributes:
        path: the file that `write_recording` or `write_pictures` wrote.
        person: who is seen, None where the set does not say.
        times_s: `(T,)`, the moments looked at.
        labels: `(T, 2)`, not a number where nobody gave one.
        seen, heard: `(T,)`, whether there is a face, and more than silence around the moment.
    """

    path: Path
    person: str | None
    times_s: Doubles
    labels: Floats
    seen: Bools
    heard: Bools
    ends: Ints

    @property
    def labelled(self) -> Bools:
        """Tell where there are labels, `(T,)`."""
        return np.asarray(np.isfinite(self.labels).all(axis=1))

    def face(self, moment: int) -> Image:
        """Return the face of a moment that is seen, uint8 RGB `(160, 160, 3)`: a quarter wider than
        it is served."""
        begin, end = self.ends[moment : moment + 2].tolist()
        with safe_open(self.path, "np") as file:
            # Reads these bytes alone: a file holds the faces of a whole recording.
            packed = file.get_slice("faces")[begin:end]
        pixels = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        assert pixels is not None
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)

    def power(self, moment: int, columns: int) -> Floats:
        """Return Mel power `(128, columns)` centred on a moment; beyond the recording is
        nothing."""
        begin = column_at(float(self.times_s[moment])) - columns // 2
        found = np.zeros((BANDS, columns), np.float32)
        with safe_open(self.path, "np") as file:
            stored = file.get_slice("power")
            low, high = max(begin, 0), min(begin + columns, stored.get_shape()[0])
            if low < high:
                found[:, low - begin : high - begin] = stored[low:high].T
        return found


def read_stored(
    data: Path, source: RecordingSource, context: float, folder: Path
) -> list[StoredRecording]:
    """Read the recordings of a source, with their files in `folder`; those that are there are kept.

    `context` is the served crop's side over that of the landmarks' box. Raises RecipeError where
    the source makes no sense, and for a recording that cannot be read.
    """
    try:
        if source.layout == AFFECTNET:
            pictures = read_affectnet(data / source.folder, source.part)
            cuts = range(0, len(pictures), PICTURES_A_FILE)
            parts = [pictures[cut : cut + PICTURES_A_FILE] for cut in cuts]
            return [
                _stored_pictures(part, folder) for part in tqdm(parts, "pictures", mininterval=5)
            ]
        recordings = learnt_from(data, source)
        stored = []
        for one in tqdm(recordings, desc="recordings", mininterval=5):
            key = recording_key(one, context, source.rate_hz)
            path = folder / f"{one.media.stem}-{key}.safetensors"
            if not path.is_file():
                follower = None
                if one.landmarks is None:
                    best = str(make_fabric("32-true").device)
                    follower = load_follower(Path(source.tracker), best)
                write_recording(one, context, source.rate_hz, follower, path)
            stored.append(open_stored(path, one.person, partial(labels_at, recording=one)))
    except (ValueError, CheckpointError) as error:
        raise RecipeError(str(error)) from error
    return stored


def folder_of(name: str, source: RecordingSource | None, runs: Path) -> Path:
    """Name a run's folder: those from other recordings or without other people are apart."""
    return runs / name if source is None else runs / source.label / name


def learnt_from(data: Path, source: RecordingSource) -> list[Recording]:
    """Return the recordings of a source without those of the fold that is held out."""
    if source.layout not in RECORDED:
        known = ", ".join((*RECORDED, AFFECTNET))
        raise RecipeError(f"layout {source.layout!r} is unknown: one of {known}")
    if source.layout == AFF_WILD2:
        if source.fold is not None:
            raise RecipeError(f"{AFF_WILD2} is measured on a part of its own: it has no fold")
        return read_aff_wild2(data / source.folder, source.part or "Train_Set")
    if source.part is not None:
        raise RecipeError(f"{source.layout} has no part {source.part!r}")
    recordings = RECORDED[source.layout](data / source.folder)
    if source.fold is None:
        return recordings
    folds = folds_of(recordings, source.folds)
    if not 1 <= source.fold <= len(folds):
        raise RecipeError(f"fold is {source.fold}; there are 1 to {len(folds)}")
    held_out = set(folds[source.fold - 1].tolist())
    return [one for place, one in enumerate(recordings) if place not in held_out]


def open_stored(
    path: Path, person: str | None, labels: Callable[[Doubles], Floats]
) -> StoredRecording:
    """Open a file of `write_recording` or `write_pictures`, with the labels at its times."""
    with safe_open(path, "np") as file:
        times_s, ends, heard = (file.get_tensor(name) for name in ("times_s", "ends", "heard"))
    return StoredRecording(path, person, times_s, labels(times_s), np.diff(ends) > 0, heard, ends)


def _stored_pictures(pictures: Sequence[AffectPicture], folder: Path) -> StoredRecording:
    path = folder / f"pictures-{pictures_key(pictures)}.safetensors"
    if not path.is_file():
        write_pictures(pictures, path)
    labels = np.array([[one.valence, one.arousal] for one in pictures], np.float32)
    return open_stored(path, None, lambda _: labels)


def recording_key(recording: Recording, context: float, rate_hz: float) -> str:
    """Name a recording's file by all that it is made of, but for the tracker."""
    last = float(recording.times_s[-1])
    parts: list[object] = [FORMAT, STORED_PX, context, rate_hz, last]
    for path in (recording.media, recording.sound):
        if path is not None:
            state = path.stat()
            # Size and time stand for the content, which would have to be read whole to be hashed.
            parts += [str(path.resolve()), state.st_size, state.st_mtime_ns]
    found = hashlib.sha256(repr(parts).encode())
    if recording.landmarks is not None:
        found.update(recording.landmarks.tobytes())
    return found.hexdigest()[:16]


def pictures_key(pictures: Sequence[AffectPicture]) -> str:
    """Name a file of pictures by their paths and boxes."""
    parts = [FORMAT, STORED_PX, *((str(one.path.resolve()), one.box) for one in pictures)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def write_recording(
    recording: Recording, context: float, rate_hz: float, follower: Follower | None, path: Path
) -> None:
    """Look at a recording once, and keep what is seen and heard.

    Raises ValueError for a video that cannot be decoded, or without landmarks and tracker.
    """
    times_s, faces = watch(recording, follower, context * MARGIN, STORED_PX, rate_hz)
    pcm = sound_of(recording)
    power = np.zeros((BANDS, 0), np.float32)
    if pcm is not None:
        power = np.minimum(mel_power(pcm_to_samples(pcm)), np.float32(LOUDEST))
    _write(path, times_s, faces, power)


def write_pictures(pictures: Sequence[AffectPicture], path: Path) -> None:
    """Keep the faces of labelled pictures, one a moment."""
    faces = (crop_of_picture(one, MARGIN, STORED_PX) for one in pictures)
    _write(
        path, np.arange(len(pictures), dtype=np.float64), faces, np.zeros((BANDS, 0), np.float32)
    )


def _write(path: Path, times_s: Doubles, faces: Iterable[Image | None], power: Floats) -> None:
    packed, ends = bytearray(), [0]
    for face in faces:
        if face is not None:
            packed += _packed(face)
        ends.append(len(packed))
    tensors = {
        "times_s": times_s,
        "ends": np.array(ends),
        "faces": np.frombuffer(packed, np.uint8),
        # Time first: a window is then one stretch of the file.
        "power": np.ascontiguousarray(power.T, np.float16),
        "heard": _heard(times_s, power),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two runs may write the same recording: each has its own part, and either whole will do.
    part = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, part)
    part.replace(path)


def _packed(face: Image) -> bytes:
    pixels = cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _heard(times_s: Doubles, power: Floats) -> Bools:
    """Tell whether the window around each time `(T,)` holds more than silence."""
    # Counts up to each column: those of a window are the difference of two.
    loud = np.concatenate([[0], np.cumsum(level_db(power) > SILENCE_DB)])
    begins = np.array([column_at(time_s) for time_s in times_s.tolist()]) - WINDOW // 2
    low, high = (np.clip(edge, 0, len(loud) - 1) for edge in (begins, begins + WINDOW))
    return np.asarray(loud[high] > loud[low])
