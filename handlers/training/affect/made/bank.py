"""Latent maps ZQ of what made clips show and let hear: computed once, each form of each thing.

Sequences and fusion learn from these instead of pictures and sound (6.3.4, 7.3.4). A face comes in
five forms, each moved and lit a little differently: two good ones, two degraded ones, and noise
alone. So does the window around a time of an utterance; its second good form is heard up to that
time only, as in a live stream, and so are some of the degraded ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from handlers.networks.affect import AffectNetworks
from handlers.networks.variants import FACE, VOICE
from handlers.processing.arrays import Bools, Floats, Image, Ints
from handlers.processing.mel import HOP, RATE_HZ, WINDOW
from handlers.training.affect.made.clips import Clip, ModalityHealth
from handlers.training.affect.made.faces import (
    CROP_PX,
    MARGIN,
    FaceJitter,
    Framing,
    WeightedFaces,
    moved,
    tinted,
)
from handlers.training.affect.made.speech import (
    Voices,
    degrade_power,
    noise_alone,
    to_tensor,
    window_at,
)
from handlers.training.affect.voices.heard import VERSIONS, hear_all
from handlers.training.datasets.affect.pictures import (
    PARTS,
    read_citizen_faces,
    read_ferplus,
    split_people,
)
from handlers.training.datasets.affect.records import AffectFaces, Utterance
from handlers.training.datasets.affect.speech import SPOKEN
from handlers.training.faces import Degrading
from handlers.training.faces import to_tensor as faces_to_tensor
from handlers.training.loop import make_fabric

CITIZEN = "citizen"
# Below the folder of runs.
HEARD = "voices"
GOOD_FORMS, FORMS = 2, 5
COLUMN_STEP = 16  # between the windows of an utterance that differ: 0.37 s
BATCH = 64
HALF_HEARD = 0.3  # the share of degraded windows that are heard up to their time only
AMONG_OTHERS = 0.7  # the share of windows with other utterances of the actor before and after
# Faces in a clip are framed and turned nearly alike.
STEADY = FaceJitter(angle_deg=5.0, scale=(0.95, 1.05), shift_x=0.02, shift_y=(-0.02, 0.02))
BAD = Degrading(
    {
        "downsampling": ("downsampling",),
        "blur": ("blur", "motion"),
        "noise": ("noise",),
        "illumination": ("color",),
    },
    clean=0.0,
)


@dataclass(frozen=True)
class FaceSource:
    """A part of a set of faces below a folder, and the share of a batch drawn from it.

    `part` is FER+'s "Training", "PublicTest" or "PrivateTest", or "citizen": the people of the
    citizen faces who are not held out.
    """

    folder: str
    part: str
    share: float = 1.0


@dataclass(frozen=True)
class SpeechSource:
    """A set of speech below a folder, "ravdess" or "emodb", and the actors who are learned from,
    none standing for all. Who is not `learned` from may talk in the background."""

    folder: str
    set: str = "ravdess"
    actors: tuple[str, ...] = ()
    learned: bool = True


def read_faces(data: Path, source: FaceSource) -> AffectFaces:
    """Read the faces of a source. Raises ValueError for an unknown part."""
    if source.part == CITIZEN:
        return split_people(read_citizen_faces(data / source.folder))[0]
    if source.part not in PARTS:
        raise ValueError(f"no part {source.part!r}: one of {', '.join(PARTS)}, {CITIZEN}")
    return read_ferplus(data / source.folder, source.part)


def read_face_sets(
    data: Path, sources: Sequence[FaceSource], framing: Framing
) -> list[WeightedFaces]:
    """Read the framed faces of several sources with their shares."""
    return [WeightedFaces(framing(read_faces(data, source)), source.share) for source in sources]


def read_utterances(
    data: Path, sources: Sequence[SpeechSource]
) -> tuple[list[Utterance], list[int]]:
    """Read all utterances of the sources' sets, and the numbers of those that are learned from.

    An actor is called by the set as well. Raises ValueError for an unknown set, and where nobody
    is left to learn from.
    """
    utterances: list[Utterance] = []
    rows: list[int] = []
    for source in sources:
        if source.set not in SPOKEN:
            raise ValueError(f"no set {source.set!r} of voices: one of {', '.join(SPOKEN)}")
        for one in SPOKEN[source.set].read(data / source.folder):
            if source.learned and (not source.actors or one.actor in source.actors):
                rows.append(len(utterances))
            utterances.append(replace(one, actor=f"{source.set}-{one.actor}"))
    if not rows:
        asked = ", ".join(actor for source in sources for actor in source.actors)
        raise ValueError(f"nobody's voice to learn from: none of the actors {asked}")
    return utterances, rows


def read_voices(
    data: Path, sources: Sequence[SpeechSource], kept: Path, channels: bool = False
) -> Voices:
    """Read the voices to learn from as Mel power, with `channels` also by several channels.

    Everybody is heard once, which takes many minutes, and kept in a folder.
    """
    utterances, rows = read_utterances(data, sources)
    heard = hear_all(utterances, kept)
    spoken = [utterances[row] for row in rows]
    versions = range(1, VERSIONS if channels else 1)
    return Voices(
        tuple(heard.power(row, 0) for row in rows),
        np.array([[one.valence, one.arousal] for one in spoken], np.float32),
        tuple(one.emotion for one in spoken),
        tuple(one.actor for one in spoken),
        tuple(tuple(heard.power(row, version) for version in versions) for row in rows),
    )


@dataclass(frozen=True, eq=False)
class FrameForms:
    """Faces and voices in a clip's frames: faces `(T, 2)` as place and form, voices
    `(T, 3)` as place, column and form, and which of them are there `(T,)`."""

    face: Ints
    voice: Ints
    has_face: Bools
    has_voice: Bools


def show(clip: Clip, rng: np.random.Generator) -> FrameForms:
    """Return a form for every frame: good faces move every third, a degraded stretch keeps its
    form."""
    count = len(clip.face)
    flicker = np.repeat(rng.integers(GOOD_FORMS, size=count // 3 + 1), 3)[:count]
    face_bad, voice_bad = rng.integers(GOOD_FORMS, FORMS, 2)
    face_form = np.where(clip.face_health == ModalityHealth.DEGRADED, face_bad, flicker)
    live = int(rng.random() < 0.3)
    voice_form = np.where(clip.voice_health == ModalityHealth.DEGRADED, voice_bad, live)
    column = np.rint(clip.heard_s * RATE_HZ / HOP / COLUMN_STEP).astype(np.int64) * COLUMN_STEP
    return FrameForms(
        np.stack([clip.face, face_form], axis=1),
        np.stack([clip.voice, column, voice_form], axis=1),
        clip.face_health != ModalityHealth.MISSING,
        clip.voice_health != ModalityHealth.MISSING,
    )


def face_maps(networks: AffectNetworks, faces: AffectFaces, keys: Ints) -> Tensor:
    """Return ZQ `(N, planes, 32, 32)`, in half precision, of faces in forms `(N, 2)`."""

    def batch(part: Ints) -> Tensor:
        return faces_to_tensor([_face(faces, *key) for key in part.tolist()])

    return encode(networks, FACE, keys, batch)


def voice_maps(networks: AffectNetworks, voices: Voices, keys: Ints) -> Tensor:
    """Return ZQ `(N, planes, 32, 32)`, in half precision, of utterances at columns in forms
    `(N, 3)`."""

    def batch(part: Ints) -> Tensor:
        return to_tensor([_window(voices, *key) for key in part.tolist()])

    return encode(networks, VOICE, keys, batch)


def _face(faces: AffectFaces, place: int, form: int) -> Image:
    rng = np.random.default_rng([place, form])
    if form == FORMS - 1:
        return rng.integers(0, 256, (CROP_PX, CROP_PX, 3), dtype=np.uint8)
    crop = tinted(moved(faces.images[place], STEADY, rng, MARGIN), STEADY, rng)
    return BAD(crop, CROP_PX / 1.2, rng)[0] if form >= GOOD_FORMS else crop


def _window(voices: Voices, place: int, column: int, form: int) -> Floats:
    rng = np.random.default_rng([place, column, form])
    power = voices.powers[place]
    if rng.random() < AMONG_OTHERS:
        own = np.flatnonzero(np.array(voices.actors) == voices.actors[place])
        before, after = (voices.powers[int(i)] for i in rng.choice(own, 2))
        column += before.shape[1]
        power = np.concatenate([before, power, after], axis=1)
    window = window_at(power, column)
    if form == FORMS - 1:
        window = noise_alone(WINDOW, rng)
    elif form >= GOOD_FORMS:
        window = degrade_power(window, rng)
    if form == GOOD_FORMS - 1 or (form >= GOOD_FORMS and rng.random() < HALF_HEARD):
        window[:, WINDOW // 2 :] = 0
    return window


def encode(
    networks: AffectNetworks, modality: str, keys: Ints, batch: Callable[[Ints], Tensor]
) -> Tensor:
    """Return ZQ of every key, on the best device at hand, kept in half precision."""
    fabric = make_fabric("bf16-mixed")
    branch = fabric.to_device(networks.branches[modality].eval())
    found = []
    for begin in range(0, len(keys), BATCH):
        inputs = fabric.to_device(batch(keys[begin : begin + BATCH]))
        with torch.no_grad(), fabric.autocast():
            maps, _ = branch(inputs.contiguous(memory_format=torch.channels_last))
        found.append(maps.to("cpu", torch.float16))
    return torch.cat(found)
