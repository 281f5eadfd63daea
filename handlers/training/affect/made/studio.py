"""Faces and utterances to made clips with the latent maps of their frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from handlers.networks.affect import AffectNetworks
from handlers.networks.variants import FACE, VOICE
from handlers.processing.arrays import Bools, Ints
from handlers.processing.mel import HOP, RATE_HZ
from handlers.training.affect.gating import GateBank, make_gate_bank
from handlers.training.affect.made.bank import (
    FaceSource,
    face_maps,
    read_faces,
    show,
    voice_maps,
)
from handlers.training.affect.made.clips import ActorPool, Clip, ClipEvents, make_clip
from handlers.training.affect.made.faces import Framing
from handlers.training.affect.made.speech import Voices
from handlers.training.datasets.affect.records import AffectFaces

GATE_COUNT = 600  # faces and utterances that a gate is taught with


@dataclass(frozen=True, eq=False)
class IndexedClip:
    """A made clip, and the rows of the maps of its frames `(T,)` with which of them are there."""

    clip: Clip
    face: Ints
    voice: Ints
    has_face: Bools
    has_voice: Bools


@dataclass(frozen=True, eq=False)
class Studio:
    """Latent maps ZQ `(N, planes, 32, 32)` of both modalities, the clips made of them, and what a
    gate is taught with."""

    faces: Tensor
    voices: Tensor
    clips: Sequence[IndexedClip]
    gate: GateBank


def make_studio(
    parts: dict[str, AffectNetworks],
    faces: AffectFaces,
    voices: Voices,
    plot: ClipEvents,
    count: int,
    seed: int,
) -> Studio:
    """Make `count` clips of a cast; `parts` are the single-frame networks of both modalities."""
    cast = make_actor_pool(faces, voices)
    clips, shown = [], []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        clips.append(make_clip(cast, plot, rng))
        shown.append(show(clips[-1], rng))
    face_keys, face_rows = _unique([one.face for one in shown])
    voice_keys, voice_rows = _unique([one.voice for one in shown])
    staged = [
        IndexedClip(clip, face, voice, seen.has_face, seen.has_voice)
        for clip, seen, face, voice in zip(clips, shown, face_rows, voice_rows, strict=True)
    ]
    return Studio(
        face_maps(parts[FACE], faces, face_keys),
        voice_maps(parts[VOICE], voices, voice_keys),
        staged,
        make_gate_bank(parts, faces, voices, GATE_COUNT, seed),
    )


def _unique(parts: Sequence[Ints]) -> tuple[Ints, list[Ints]]:
    """Return the distinct keys of all clips, and the row of each frame's key, clip by clip."""
    keys, rows = np.unique(np.concatenate(parts), axis=0, return_inverse=True)
    cuts = np.cumsum([len(part) for part in parts])[:-1]
    return keys, np.split(rows.reshape(-1), cuts)


def make_actor_pool(faces: AffectFaces, voices: Voices) -> ActorPool:
    """Gather everybody who can appear, from faces and utterances in memory."""
    seconds = [(power.shape[1] - 1) * HOP / RATE_HZ for power in voices.powers]
    return ActorPool(
        faces.labels,
        faces.emotions,
        voices.labels,
        voices.emotions,
        voices.actors,
        np.array(seconds, np.float32),
    )


def pool(data: Path, sources: Sequence[FaceSource], most: int, framing: Framing) -> AffectFaces:
    """Return at most so many framed faces of several sources by their shares, every word about as
    often."""
    rng = np.random.default_rng(0)
    total = sum(source.share for source in sources)
    chosen = []
    for source in sources:
        faces = framing(read_faces(data, source))
        chosen.append(faces.take(balanced(faces, round(most * source.share / total), rng)))
    return AffectFaces(
        np.concatenate([faces.images for faces in chosen]),
        np.concatenate([faces.shares for faces in chosen]),
        np.concatenate([faces.labels for faces in chosen]),
        tuple(word for faces in chosen for word in faces.emotions),
        tuple(person for faces in chosen for person in faces.people),
    )


def balanced(faces: AffectFaces, most: int, rng: np.random.Generator) -> Ints:
    """Return places of at most `most` faces: rare words whole, of the others about as many each."""
    words = np.array(faces.emotions)
    groups = sorted(
        (rng.permutation(np.flatnonzero(words == word)) for word in sorted(set(words))), key=len
    )
    kept: list[Ints] = []
    for index, group in enumerate(groups):
        left = most - sum(map(len, kept))
        kept.append(group[: left // (len(groups) - index)])
    return np.sort(np.concatenate(kept))
