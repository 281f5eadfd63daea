"""Recordings and labelled pictures to one file each that learning reads from, piece by piece.

A file holds the times looked at, the faces there as JPEG, and the Mel power of the sound in half
precision. Only what a batch asks for is read: hundreds of recordings need no memory.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file

from handlers.processing.arrays import Bools, Doubles, Floats, Image
from handlers.processing.mel import BANDS, SILENCE_DB, WINDOW, level_db, mel_power, pcm_to_samples
from handlers.processing.mel_stream import column_at
from handlers.training.affect.made.faces import MARGIN
from handlers.training.datasets.affect.records import AffectPicture, Recording
from handlers.training.datasets.affect.speech import sound_of
from handlers.training.datasets.affect.watching import CROP_PX, Follower, crop_of_picture, watch

# Faces are kept a little wider than they are served, to be turned and shifted.
STORED_PX = round(CROP_PX * MARGIN)
QUALITY = 92
LOUDEST = 6e4  # of Mel power: half precision ends at 65 504
FORMAT = 1


def recording_key(recording: Recording, context: float, rate_hz: float) -> str:
    """Name a recording's file by all that it is made of, but for the tracker."""
    last = float(recording.times_s[-1])
    parts: list[object] = [FORMAT, STORED_PX, context, rate_hz, last]
    for path in (recording.media, recording.sound):
        if path is not None:
            state = path.stat()
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
        "power": np.ascontiguousarray(power.T, np.float16),
        "heard": _heard(times_s, power),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, part)
    part.replace(path)


def _packed(face: Image) -> bytes:
    pixels = cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _heard(times_s: Doubles, power: Floats) -> Bools:
    """Whether the window around each time `(T,)` holds more than silence."""
    loud = np.concatenate([[0], np.cumsum(level_db(power) > SILENCE_DB)])
    begins = np.array([column_at(time_s) for time_s in times_s.tolist()]) - WINDOW // 2
    low, high = (np.clip(edge, 0, len(loud) - 1) for edge in (begins, begins + WINDOW))
    return np.asarray(loud[high] > loud[low])
