"""Recordings made up on disk: AFEW-VA with landmarks, SEWA with sound, and what is kept of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import soundfile  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from handlers.networks.affect import AffectNetworks
from handlers.networks.variants import variant
from handlers.processing.mel import RATE_HZ
from handlers.training.affect.made.clips import ClipEvents
from handlers.training.affect.recorded.pieces import Piece, PieceCutting, cut_pieces
from handlers.training.affect.recorded.stored import StoredRecording, open_stored, write_recording
from handlers.training.datasets.affect.recordings import read_afew_va
from handlers.training.datasets.affect.records import Recording
from handlers.training.datasets.affect.watching import labels_at
from tests.handlers.videos import write_video

ASSETS = Path(__file__).parents[1] / "assets"
PEOPLE, RECORDINGS, FRAMES = 6, 12, 10
HEALTHY = ClipEvents(healthy_clips=1.0)

Paint = Callable[[NDArray[np.uint8], int], tuple[int, int]]


def astronaut() -> NDArray[np.uint8]:
    """A picture with a face, in the order of OpenCV's colours."""
    found = cv2.imread(str(ASSETS / "astronaut.jpg"))
    assert found is not None
    return np.asarray(found, np.uint8)


def write_afew(root: Path, paint: Paint | None = None) -> None:
    """AFEW-VA with two clips of each of six people, whose valence tells who they are.

    `paint` changes a frame and gives valence and arousal of its own.
    """
    small = cv2.resize(astronaut(), (160, 160))
    x, y = np.meshgrid(np.linspace(55, 105, 17), np.linspace(20, 70, 4))
    points = np.stack([x, y], axis=-1).reshape(68, 2)
    for clip in range(RECORDINGS):
        person = clip % PEOPLE
        folder = root / "afew" / f"{clip:03}"
        folder.mkdir(parents=True)
        frames = {}
        for index in range(FRAMES):
            image = np.roll(small, index, axis=1) if paint is None else small.copy()
            valence, arousal = (person, index % 5 - 2) if paint is None else paint(image, index)
            cv2.imwrite(str(folder / f"{index:05}.png"), image)
            frames[f"{index:05}"] = {
                "landmarks": (points + [0 if paint else index, 0]).tolist(),
                "valence": valence,
                "arousal": arousal,
            }
        told = json.dumps({"actor": f"actor {person}", "frames": frames})
        (folder / f"{clip:03}.json").write_text(told)


def with_sound(data: Path, folder: Path) -> list[StoredRecording]:
    """The people of AFEW-VA, who have no sound, with a second of it each."""
    found = []
    for index, one in enumerate(read_afew_va(data / "afew")[:3]):
        samples = 0.2 * np.random.default_rng(index).standard_normal(RATE_HZ).astype(np.float32)
        soundfile.write(folder / f"{index}.wav", samples, RATE_HZ)
        heard = replace(one, sound=folder / f"{index}.wav")
        found.append(kept(heard, folder / f"{index}.safetensors"))
    return found


def kept(recording: Recording, path: Path) -> StoredRecording:
    write_recording(recording, 1.25, 25.0, None, path)
    return open_stored(path, recording.person, lambda times: labels_at(times, recording))


def tiny(name: str) -> AffectNetworks:
    torch.manual_seed(0)
    return AffectNetworks(variant(name, "tiny", norm="batch")).eval()


def pieces_of(
    stored: list[StoredRecording], *used: str, plot: ClipEvents = HEALTHY, most: int = 99
) -> list[Piece]:
    return cut_pieces(stored, used, plot, PieceCutting(most, 4, 1))


def write_sewa(root: Path, name: str, seed: int) -> None:
    """Half a second of a face and a second of noise, with labels ten times a second."""
    for folder in ("video", "audio", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    picture = astronaut()
    frames = (np.roll(picture, 2 * index, axis=1) for index in range(12))
    write_video(root / "video" / f"{name}.avi", frames)
    samples = 0.2 * np.random.default_rng(seed).standard_normal(RATE_HZ)
    soundfile.write(root / "audio" / f"{name}.wav", samples, RATE_HZ)
    rows = "\n".join(f"{i / 10};{i / 10 - 0.3};{seed / 5};0" for i in range(5))
    (root / "labels" / f"{name}.csv").write_text(f"time;arousal;valence;liking\n{rows}\n")
