"""Records that the readers of affect yield, and emotion words as weak labels on the circumplex."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handlers.networks.variants import EXPRESSIONS, FACE_PLACES
from handlers.processing.arrays import Doubles, Floats, Image, Ints

# Pleasure and arousal of emotion words (Russell and Mehrabian 1977); calm is ours. Those of faces
# are FACE_PLACES, beside the network that tells the words. New words stand last: their places are
# numbers of classes.
PLACES: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "happiness": (0.81, 0.51),
    "surprise": (0.40, 0.67),
    "anger": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "sadness": (-0.63, -0.27),
    "calm": (0.30, -0.40),
    "boredom": (-0.65, -0.62),
}
# How far from an axis a label is before its side of it is beyond doubt.
SOFTNESS = 0.08
WORDS = (*PLACES, "contempt")


def word_weights(words: Sequence[str] | Ints, power: float) -> Doubles:
    """Weigh samples `(N,)` by how many have the same word, to a power: below 0 rare ones most."""
    _, places, counts = np.unique(words, return_inverse=True, return_counts=True)
    return np.asarray(counts[places].astype(np.float64) ** power)


def soft_quadrants(labels: Floats) -> Floats:
    """Turn valence and arousal `(..., 2)` into probabilities of the quadrants `(..., 4)`.

    In the order positive-active, negative-active, negative-passive, positive-passive. Far from
    the axes it is the quadrant of the signs; near neutral it is undecided between all four, as
    the signs of nearly nothing mean nothing.
    """
    above = 1 / (1 + np.exp(-np.asarray(labels, np.float64) / SOFTNESS))
    positive, active = above[..., 0], above[..., 1]
    stacked = [
        positive * active,
        (1 - positive) * active,
        (1 - positive) * (1 - active),
        positive * (1 - active),
    ]
    return np.stack(stacked, axis=-1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class AffectFaces:
    """Grey faces in memory, each with one weak label.

    Attributes:
        images: uint8 `(N, S, S)`.
        shares: float32 `(N, 8)`, how much of a face's votes each of EXPRESSIONS has.
        labels: float32 `(N, 2)`, valence and arousal in [-1, 1]: the mean place of the shares.
        emotions: the commonest word of each.
        people: who each face shows, None where the set does not say.
    """

    images: Image
    shares: Floats
    labels: Floats
    emotions: tuple[str, ...]
    people: tuple[str | None, ...]

    @classmethod
    def of_shares(
        cls, images: Image, shares: Floats, people: tuple[str | None, ...]
    ) -> "AffectFaces":
        """Return faces whose shares say all else."""
        labels = shares @ np.array([FACE_PLACES[word] for word in EXPRESSIONS], np.float32)
        emotions = tuple(EXPRESSIONS[index] for index in shares.argmax(axis=1).tolist())
        return cls(images, shares, labels, emotions, people)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Ints) -> "AffectFaces":
        """Return the faces at some places."""
        chosen = [int(index) for index in indices]
        return AffectFaces(
            self.images[indices],
            self.shares[indices],
            self.labels[indices],
            tuple(self.emotions[i] for i in chosen),
            tuple(self.people[i] for i in chosen),
        )


@dataclass(frozen=True, slots=True)
class AffectPicture:
    """A picture file with the box of its face `(x1, y1, x2, y2)`, None for the whole picture."""

    path: Path
    valence: float
    arousal: float
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """One spoken sentence of an actor with its weak label."""

    path: Path
    actor: str
    emotion: str
    valence: float
    arousal: float


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One annotated video: labels at times, `media` holding the pictures and, mostly, the sound.

    Attributes:
        media: a video file, or a folder of frames named in order.
        person: who is seen; folds keep a person on one side.
        times_s: float64 `(T,)`, increasing, seconds from the start of the video.
        labels: float32 `(T, 2)`, valence and arousal in [-1, 1].
        landmarks: float32 `(T, 68, 2)` in pixels counted from 0 where the set gives them.
        sound: a sound file of its own, None where the video holds it.
    """

    media: Path
    person: str
    times_s: Doubles
    labels: Floats
    landmarks: Floats | None = None
    sound: Path | None = None
