"""What the readers of affect yield: pictures with one label, recordings with a label a time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handlers.networks.variants import EXPRESSIONS, FACE_PLACES

Floats = NDArray[np.float32]


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

    images: NDArray[np.uint8]
    shares: Floats
    labels: Floats
    emotions: tuple[str, ...]
    people: tuple[str | None, ...]

    @classmethod
    def of_shares(
        cls, images: NDArray[np.uint8], shares: Floats, people: tuple[str | None, ...]
    ) -> "AffectFaces":
        """Faces whose shares say all else."""
        labels = shares @ np.array([FACE_PLACES[word] for word in EXPRESSIONS], np.float32)
        emotions = tuple(EXPRESSIONS[index] for index in shares.argmax(axis=1).tolist())
        return cls(images, shares, labels, emotions, people)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: NDArray[np.int64]) -> "AffectFaces":
        """The faces at some places."""
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
    times_s: NDArray[np.float64]
    labels: Floats
    landmarks: Floats | None = None
    sound: Path | None = None
