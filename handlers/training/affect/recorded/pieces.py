"""Recordings to single moments, and to pieces of some seconds, whole or with stretches gone bad."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.networks.variants import FACE, VOICE
from handlers.processing.arrays import Bools, Floats, Image, Ints
from handlers.processing.mel import WINDOW
from handlers.training.affect.losses import class_weights
from handlers.training.affect.made.bank import BAD, FORMS, GOOD_FORMS
from handlers.training.affect.made.clips import ClipEvents, ModalityHealth, healths
from handlers.training.affect.made.faces import CROP_PX, MARGIN, FaceJitter, moved, relit
from handlers.training.affect.made.speech import (
    Microphone,
    both_forms,
    degrade_power,
    noise_alone,
    recorded,
)
from handlers.training.affect.recorded.stored import STORED_PX, StoredRecording
from handlers.training.datasets.affect.records import soft_quadrants
from handlers.training.faces import Degrading
from handlers.training.faces import to_tensor as faces_to_tensor
from handlers.training.loop import Batch
from handlers.training.recipe import RecipeError

WIDE = WINDOW * 3 // 2  # columns that hold a window however it is stretched
PIECE_S = 20.0
SHORTEST = 3  # moments: two and a stage of two frames needs one more
LIVE = 0.3  # the share of pieces whose sound is heard up to the moment only


@dataclass(frozen=True, eq=False)
class Moments:
    """Labelled moments of recordings: `place` and `moment` `(N,)`, `labels`, `weights` `(N, 2)`."""

    stored: Sequence[StoredRecording]
    place: NDArray[np.int32]
    moment: NDArray[np.int32]
    labels: Floats
    weights: Floats

    @classmethod
    def of(cls, stored: Sequence[StoredRecording], modality: str, power: float) -> "Moments":
        """Return every labelled moment where the modality is there; classes weigh as
        `class_weights` says.

        Raises RecipeError where there is none.
        """
        there = [
            np.flatnonzero((one.seen if modality == FACE else one.heard) & one.labelled)
            for one in stored
        ]
        if not sum(map(len, there)):
            raise RecipeError(f"the recordings have no labelled moment with a {modality}")
        found = list(zip(stored, there, strict=True))
        labels = np.concatenate([one.labels[moments] for one, moments in found])
        return cls(
            stored,
            np.repeat(np.arange(len(stored), dtype=np.int32), [len(part) for part in there]),
            np.concatenate(there).astype(np.int32),
            labels,
            class_weights(labels, power),
        )

    def draw(
        self, rng: np.random.Generator, size: int
    ) -> tuple[list[tuple[StoredRecording, int]], Batch]:
        """Draw so many moments at random, all as likely, and what is known of them."""
        rows = rng.integers(len(self.labels), size=size)
        labels = self.labels[rows]
        told = {
            "label": torch.from_numpy(labels),
            "weight": torch.from_numpy(self.weights[rows]),
            "quadrant": torch.from_numpy(soft_quadrants(labels)),
        }
        return [(self.stored[self.place[row]], int(self.moment[row])) for row in rows], told


class RecordedFaceBatches:
    """Draws batches for `LatentLearner` from the faces of recordings; nobody gave them words."""

    def __init__(
        self,
        stored: Sequence[StoredRecording],
        moving: FaceJitter,
        degrading: Degrading | None,
        power: float,
    ) -> None:
        self.moments, self.degrading = Moments.of(stored, FACE, power), degrading
        self.moving = moving

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """Return `clean` and `seen` `(B, 3, 128, 128)` in [-1, 1], `label` and `weight` `(B, 2)`,
        `quadrant` `(B, 4)`."""
        drawn, told = self.moments.draw(rng, size)
        clean, seen = [], []
        for recording, moment in drawn:
            crop = relit(moved(recording.face(moment), self.moving, rng, MARGIN), self.moving, rng)
            clean.append(crop)
            seen.append(
                crop if self.degrading is None else self.degrading(crop, CROP_PX / 1.2, rng)[0]
            )
        return {"clean": faces_to_tensor(clean), "seen": faces_to_tensor(seen), **told}


class RecordedVoiceBatches:
    """Draws batches for `LatentLearner` from what is heard in recordings."""

    def __init__(
        self, stored: Sequence[StoredRecording], microphone: Microphone, power: float
    ) -> None:
        self.moments, self.microphone = Moments.of(stored, VOICE, power), microphone

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        """Return the same as of faces, of windows centred on the labelled times."""
        drawn, told = self.moments.draw(rng, size)
        windows = (
            recorded(recording.power(moment, WIDE), self.microphone, rng, WIDE / 2)
            for recording, moment in drawn
        )
        return {**both_forms(windows, self.microphone, rng), **told}


@dataclass(frozen=True, eq=False)
class Piece:
    """A run of labelled moments of a recording, from `first` on.

    `face_health` and `voice_health` `(T,)` are values of ModalityHealth; `form` says in what way a
    bad face and a bad voice are bad, `live` whether sound is heard up to the moment only.
    """

    recording: StoredRecording
    first: int
    face_health: Ints
    voice_health: Ints
    form: tuple[int, int]
    live: bool

    def __len__(self) -> int:
        return len(self.face_health)

    @property
    def run(self) -> slice:
        """Its moments in the recording."""
        return slice(self.first, self.first + len(self))

    @property
    def labels(self) -> Floats:
        """Valence and arousal `(T, 2)`."""
        return self.recording.labels[self.run]

    def there(self, modality: str) -> Bools:
        """Tell where a modality can be used `(T,)`."""
        found, health = self.recording.heard, self.voice_health
        if modality == FACE:
            found, health = self.recording.seen, self.face_health
        return np.asarray(found[self.run] & (health != ModalityHealth.MISSING))

    def face(self, index: int) -> Image:
        """Return the crop of a moment, as it is served or gone bad: uint8 RGB `(128, 128, 3)`."""
        edge = (STORED_PX - CROP_PX) // 2
        wide = self.recording.face(self.first + index)
        crop = np.ascontiguousarray(wide[edge : edge + CROP_PX, edge : edge + CROP_PX])
        if self.face_health[index] != ModalityHealth.DEGRADED:
            return crop
        rng = np.random.default_rng([self.first, self.form[0]])
        if self.form[0] == FORMS - 1:
            return rng.integers(0, 256, crop.shape, dtype=np.uint8)
        return BAD(crop, CROP_PX / 1.2, rng)[0]

    def window(self, index: int) -> Floats:
        """Return Mel power `(128, 128)` around a moment, as it is heard or gone bad."""
        window = self.recording.power(self.first + index, WINDOW)
        if self.live:
            window[:, WINDOW // 2 :] = 0
        if self.voice_health[index] != ModalityHealth.DEGRADED:
            return window
        rng = np.random.default_rng([self.first, self.form[1]])
        if self.form[1] == FORMS - 1:
            return noise_alone(WINDOW, rng)
        return degrade_power(window, rng)

    def key(self) -> bytes:
        """Return what tells it from every other one."""
        told = (self.recording.path.name, self.first, self.form, self.live)
        parts = (repr(told).encode(), self.face_health.tobytes(), self.voice_health.tobytes())
        return hashlib.sha256(b"".join(parts)).digest()


@dataclass(frozen=True)
class PieceCutting:
    """The number of pieces at most, and the moments of the longest run learnt from."""

    most: int
    longest: int
    seed: int


def cut_pieces(
    stored: Sequence[StoredRecording],
    modalities: Sequence[str],
    plot: ClipEvents,
    cutting: PieceCutting,
) -> list[Piece]:
    """Cut random pieces of 20 s or less (or twice the longest run), in the order of the recordings.

    Stretches go bad as the plot says. Raises RecipeError where there is nothing to learn from, or
    no piece that holds the longest run.
    """
    cuts = [(one, run) for one in stored for run in _runs(one, cutting.longest)]
    kept = np.sort(np.random.default_rng(cutting.seed).permutation(len(cuts))[: cutting.most])
    drawn = [(*cuts[place], place) for place in kept.tolist()]
    pieces = [_piece(recording, run, plot, cutting, place) for recording, run, place in drawn]
    found = [one for one in pieces if any(one.there(name).any() for name in modalities)]
    if not found:
        raise RecipeError(f"the recordings have no labelled stretch with {' or '.join(modalities)}")
    if max(map(len, found)) <= cutting.longest:
        raise RecipeError(f"no recording has more than {cutting.longest} labelled moments in a row")
    return found


def _length(recording: StoredRecording, longest: int) -> int:
    """Return the most moments of a piece."""
    return max(round(PIECE_S * _rate_hz(recording)), 2 * longest)


def _rate_hz(recording: StoredRecording) -> float:
    if len(recording.times_s) < 2:
        return 1.0
    return float(1 / np.median(np.diff(recording.times_s)))


def _runs(recording: StoredRecording, longest: int) -> list[tuple[int, int]]:
    """Return the first moment of every piece of a recording, and the one after its last."""
    length = _length(recording, longest)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], recording.labelled, [False]])))
    return [
        (begin, min(begin + length, int(end)))
        for first, end in edges.reshape(-1, 2)
        for begin in range(int(first), int(end), length)
        if min(begin + length, int(end)) - begin >= SHORTEST
    ]


def _piece(
    recording: StoredRecording,
    run: tuple[int, int],
    plot: ClipEvents,
    cutting: PieceCutting,
    place: int,
) -> Piece:
    """Make a piece; the shorter it is, the rarer something goes bad in it: stretches are not
    shorter."""
    rng = np.random.default_rng([cutting.seed, place])
    count = run[1] - run[0]
    face, voice = healths(count, plot, rng, _rate_hz(recording))
    if rng.random() * _length(recording, cutting.longest) > count:
        face, voice = np.zeros_like(face), np.zeros_like(voice)
    forms = rng.integers(GOOD_FORMS, FORMS, 2).tolist()
    return Piece(recording, run[0], face, voice, (forms[0], forms[1]), bool(rng.random() < LIVE))
