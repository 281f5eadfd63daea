"""Made clips: faces and utterances of agreeing emotion over time, with stretches gone bad.

There are no clips with labels at hand, so they are made. A clip is a row of segments. A segment
has an emotion word: an utterance of the clip's actor with that word is heard once from its start
to its end, and one to four faces with that word are seen meanwhile. The truth of a segment is the
mean of what the faces shown say and what the utterance says (their weak labels); from a segment to
the next it moves as half a cosine over 0.8 s. In some segments the voice has another word than the
face, and the rule is the same. In stretches a modality is degraded or missing: that changes what
can be seen or heard, and not the truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from handlers.processing.arrays import Floats, Ints

FRAMES_A_SECOND = 25.0
TRANSITION_S = 0.8
# Faces have no words for calm and boredom.
FACE_WORDS = {"calm": "neutral", "boredom": "neutral"}


class ModalityHealth(IntEnum):
    """The state of a modality at a time."""

    GOOD = 0
    DEGRADED = 1
    MISSING = 2


@dataclass(frozen=True, eq=False)
class ActorPool:
    """Everybody who can appear: labels `(N, 2)` and words of faces; the same, actors and seconds of
    utterances."""

    face_labels: Floats
    face_words: tuple[str, ...]
    voice_labels: Floats
    voice_words: tuple[str, ...]
    actors: tuple[str, ...]
    lengths_s: Floats


@dataclass(frozen=True)
class ClipEvents:
    """The events of made clips: lengths, and shares of segments or clips."""

    segments: int = 4
    faces: int = 4
    trimmed_s: float = 0.3
    contradicting: float = 0.12
    stretches: int = 2
    stretch_s: tuple[float, float] = (1.2, 3.0)
    healthy_clips: float = 0.25


@dataclass(frozen=True, eq=False)
class Clip:
    """A made clip, frame by frame at 25 a second; every array has T rows.

    `face` and `voice` are places in the cast, `heard_s` the time within the utterance, `labels`
    `(T, 2)` the truth, `face_health` and `voice_health` values of ModalityHealth.
    """

    actor: str
    labels: Floats
    face: Ints
    face_health: Ints
    voice: Ints
    heard_s: Floats
    voice_health: Ints


def make_clip(cast: ActorPool, plot: ClipEvents, rng: np.random.Generator) -> Clip:
    """Make a clip of a random actor."""
    actor = str(rng.choice(sorted(set(cast.actors))))
    voices = _utterances(cast, actor, plot.segments, rng)
    faces, voice, heard, truths, begins = [], [], [], [], [0]
    for place in voices:
        count = round((cast.lengths_s[place] - 2 * plot.trimmed_s) * FRAMES_A_SECOND)
        word = cast.voice_words[place]
        if rng.random() < plot.contradicting:
            word = str(rng.choice(cast.face_words))
        shown = _faces(cast, word, count, plot, rng)
        faces.append(shown)
        voice.append(np.full(count, place))
        heard.append(plot.trimmed_s + np.arange(count) / FRAMES_A_SECOND)
        truths.append((cast.face_labels[shown].mean(axis=0) + cast.voice_labels[place]) / 2)
        begins.append(begins[-1] + count)
    face_health, voice_health = healths(begins[-1], plot, rng)
    return Clip(
        actor,
        smooth_labels(np.stack(truths), begins),
        np.concatenate(faces),
        face_health,
        np.concatenate(voice),
        np.concatenate(heard).astype(np.float32),
        voice_health,
    )


def smooth_labels(truths: Floats, begins: Sequence[int]) -> Floats:
    """Return the truth `(T, 2)` over time, from that of every segment and the frame where each
    begins."""
    times = np.arange(begins[-1]) / FRAMES_A_SECOND
    labels = np.repeat(truths[:1], begins[-1], axis=0)
    for index, begin in enumerate(begins[1:-1], start=1):
        done = np.clip((times - begin / FRAMES_A_SECOND) / TRANSITION_S + 0.5, 0, 1)
        share = (1 - np.cos(np.pi * done)) / 2
        labels = labels + share[:, None] * (truths[index] - truths[index - 1])
    return np.asarray(labels, np.float32)


def _utterances(cast: ActorPool, actor: str, count: int, rng: np.random.Generator) -> list[int]:
    """Return utterances of an actor; no word twice in a row, every word as likely."""
    places: list[int] = []
    own = [i for i, name in enumerate(cast.actors) if name == actor]
    last = ""
    for _ in range(count):
        words = sorted({cast.voice_words[i] for i in own} - {last})
        last = str(rng.choice(words))
        places.append(int(rng.choice([i for i in own if cast.voice_words[i] == last])))
    return places


def _faces(
    cast: ActorPool, word: str, count: int, plot: ClipEvents, rng: np.random.Generator
) -> Ints:
    """Return the face of every frame of a segment: `(count,)` places of faces with a word."""
    seen = FACE_WORDS.get(word, word)
    suited = np.flatnonzero(np.array(cast.face_words) == seen)
    chosen = rng.choice(suited, int(rng.integers(1, plot.faces + 1)))
    cuts = np.sort(rng.integers(0, count, len(chosen) - 1))
    return np.asarray(chosen[np.searchsorted(cuts, np.arange(count), side="right")], np.int64)


def healths(
    count: int, plot: ClipEvents, rng: np.random.Generator, rate_hz: float = FRAMES_A_SECOND
) -> tuple[Ints, Ints]:
    """Draw the state of face and voice at every frame; never both bad at a time."""
    face, voice = np.zeros(count, np.int64), np.zeros(count, np.int64)
    if rng.random() < plot.healthy_clips:
        return face, voice
    for _ in range(plot.stretches):
        length = int(rng.uniform(*plot.stretch_s) * rate_hz)
        begin = int(rng.integers(max(count - length, 1)))
        part = slice(begin, begin + length)
        if face[part].any() or voice[part].any():
            continue
        (face if rng.random() < 0.5 else voice)[part] = rng.choice(
            [ModalityHealth.DEGRADED, ModalityHealth.MISSING]
        )
    return face, voice
