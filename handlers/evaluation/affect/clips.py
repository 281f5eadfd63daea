"""Labelled clips in memory, how they go bad, and one model's answers to them over time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from handlers.processing.arrays import Bools, Doubles, Floats, Image, Ints, Names, Pcm
from handlers.processing.degradations import LEVELS, REFERENCE_FACE_PX, degrade
from handlers.processing.mel import pcm_to_samples
from handlers.training.datasets.affect.records import AffectPicture, Recording
from handlers.training.datasets.affect.speech import sound_of, to_pcm
from handlers.training.datasets.affect.watching import (
    Follower,
    crop_of_picture,
    labels_at,
    watch,
)

# Who errs together, by kinds: the name of a whole clip, or one for each of its moments `(T,)`.
People = Mapping[str, str | Names]

PictureHarm = Callable[[Image, np.random.Generator], Image]
SoundHarm = Callable[[Floats, np.random.Generator], Floats]

FACE, VOICE = "face", "voice"
FACE_CONTEXT = 1.2  # how many times wider than its face a crop is, about
LOW_LEVEL = 0.1


@dataclass(frozen=True, eq=False)
class LabelledClip:
    """A clip of T moments, its faces found already.

    Attributes:
        name: unlike any other's in its set.
        people: who errs together, such as `{"actor": "21", "person": ["Ada", "Ada", "Eva"]}`.
        times_s: `(T,)`, increasing.
        labels: float32 `(T, 2)`, valence and arousal in [-1, 1].
        faces: crops uint8 RGB `(128, 128, 3)` as the networks see them, None where none is seen.
        pcm: int16 mono at 22 050 Hz from time zero on, None without sound.
        actions: what the faces do, `(40,)` each, None where that is not known.
    """

    name: str
    people: People
    times_s: Doubles
    labels: Floats
    faces: Sequence[Image | None]
    pcm: Pcm | None = None
    actions: Sequence[Floats | None] | None = None

    def thinned(self, every: int) -> "LabelledClip":
        """Return every so many moments; the sound stays whole."""
        people = {
            kind: name if isinstance(name, str) else name[::every]
            for kind, name in self.people.items()
        }
        return replace(
            self,
            people=people,
            times_s=self.times_s[::every],
            labels=self.labels[::every],
            faces=self.faces[::every],
            actions=None if self.actions is None else self.actions[::every],
        )


@dataclass(frozen=True)
class Harm:
    """Something done to one modality of a whole clip that leaves it there to be used.

    `strength` says how much, in words.
    """

    name: str
    modality: str
    strength: str = ""
    picture: PictureHarm | None = None
    sound: SoundHarm | None = None

    def __call__(self, clip: LabelledClip, seed: int = 0) -> LabelledClip:
        """Return a harmed copy; a seed fixes it."""
        rng = np.random.default_rng(seed)
        faces, pcm = clip.faces, clip.pcm
        if self.picture is not None:
            faces = [None if face is None else self.picture(face, rng) for face in faces]
        if self.sound is not None and pcm is not None:
            pcm = to_pcm(self.sound(pcm_to_samples(pcm), rng))
        return replace(clip, faces=faces, pcm=pcm)


def _degraded(name: str, level: float) -> PictureHarm:
    return lambda face, rng: degrade(face, name, level, rng, face_px=face.shape[0] / FACE_CONTEXT)


def _white(samples: Floats, rng: np.random.Generator) -> Floats:
    """Return white noise as loud as the loud parts of a signal."""
    loud = float(np.percentile(np.abs(samples), 90)) if len(samples) else 0.0
    noise = rng.standard_normal(len(samples), dtype=np.float32)
    return np.asarray(noise * np.float32(loud))


def _static(face: Image, rng: np.random.Generator) -> Image:
    """Return a picture of noise alone."""
    return rng.integers(0, 256, face.shape, dtype=np.uint8)


# The strongest level of each degradation of section 3.4.1 that leaves a face a face, and the like
# for a voice: noise as loud as it, and a tenth of its amplitude.
BLUR, DARKNESS, NOISE = max(LEVELS["blur"]), min(LEVELS["color"]), max(LEVELS["noise"])
PICTURE_HARMS: Mapping[str, PictureHarm] = {
    "blur": _degraded("blur", BLUR),
    "darkness": _degraded("color", DARKNESS),
    "noise": _degraded("noise", NOISE),
}
SOUND_HARMS: Mapping[str, SoundHarm] = {
    "noise": lambda samples, rng: samples + _white(samples, rng),
    "low level": lambda samples, rng: samples * np.float32(LOW_LEVEL),
}
STRENGTHS: Mapping[tuple[str, str], str] = {
    (FACE, "blur"): f"sigma {BLUR:g} px of a face of {REFERENCE_FACE_PX:g} px",
    (FACE, "darkness"): f"intensity x {DARKNESS:g}",
    (FACE, "noise"): f"variance {NOISE:g} on [0, 1]",
    (VOICE, "noise"): "white, as loud as the voice",
    (VOICE, "low level"): f"amplitude x {LOW_LEVEL:g}",
}

HARMS = (
    *(Harm(name, FACE, STRENGTHS[FACE, name], picture=one) for name, one in PICTURE_HARMS.items()),
    *(Harm(name, VOICE, STRENGTHS[VOICE, name], sound=one) for name, one in SOUND_HARMS.items()),
)
DESTROYED = (
    Harm("face destroyed", FACE, picture=_static),
    Harm("voice destroyed", VOICE, sound=_white),
)


def clip_of(recording: Recording, context: float, follower: Follower | None) -> LabelledClip:
    """Return a recording as a clip of at most 25 moments a second.

    Boxes are those of the set's landmarks where it has them, else what `follower` follows. Raises
    ValueError for a video that cannot be decoded, and without either.
    """
    times_s, faces = watch(recording, follower, context)
    labels = labels_at(times_s, recording)
    people = {"person": recording.person}
    sound = sound_of(recording)
    return LabelledClip(recording.media.stem, people, times_s, labels, faces, sound)


def picture_clip(picture: AffectPicture) -> LabelledClip:
    """Return a labelled picture as a clip of one moment, cut out by its box as the set gives it."""
    label = np.array([[picture.valence, picture.arousal]], np.float32)
    return LabelledClip(str(picture.path), {}, np.zeros(1), label, [crop_of_picture(picture)])


@dataclass(frozen=True, eq=False)
class Trace:
    """Estimates of a clip of T moments.

    Attributes:
        clip: its name.
        people: who errs together, as the clip says.
        times_s: `(T,)`.
        labels: `(T, 2)` valence and arousal in [-1, 1], not a number where there is none.
        estimates: `(T, 2)` as labels, not a number where neither face nor voice could be used.
        weights: `(T, n)` attention over the states held, oldest first, 0 where none is held.
        gate: `(T,)`, 1 all face to 0 all voice; not a number for models without a gate.
        face, voice: `(T,)`, which were used.
    """

    clip: str
    people: People
    times_s: Doubles
    labels: Floats
    estimates: Floats
    weights: Floats
    gate: Floats
    face: Bools
    voice: Bools


# The traces of one model in every unit, a unit being a fold or a seed.
Units = Mapping[str, Sequence[Trace]]


def over_clip(trace: Trace) -> Trace:
    """Return one moment for a whole clip: the mean label against the mean estimate (an utterance).

    Who is named moment by moment is left out.
    """
    answered = np.isfinite(trace.estimates).any(axis=1)
    labels = trace.labels[np.isfinite(trace.labels).all(axis=1)]
    return Trace(
        trace.clip,
        {kind: name for kind, name in trace.people.items() if isinstance(name, str)},
        trace.times_s[:1],
        _mean(labels),
        _mean(trace.estimates[answered]),
        trace.weights[-1:],
        np.nanmean(trace.gate, keepdims=True) if np.isfinite(trace.gate).any() else trace.gate[:1],
        np.array([trace.face.any()]),
        np.array([trace.voice.any()]),
    )


def joined(traces: Sequence[Trace]) -> tuple[Floats, Floats]:
    """Return estimates and labels `(N, 2)` of some traces, one after another."""
    empty = np.zeros((0, 2), np.float32)
    return (
        np.concatenate([empty, *(trace.estimates for trace in traces)]),
        np.concatenate([empty, *(trace.labels for trace in traces)]),
    )


def groups_of(traces: Sequence[Trace], kind: str) -> Ints:
    """Return the number of the person, actor or clip (`kind`) that each moment of `joined` belongs
    to."""
    names = [
        np.broadcast_to(trace.people.get(kind, f"clip {trace.clip}"), len(trace.times_s))
        for trace in traces
    ]
    _, numbers = np.unique(np.concatenate([np.zeros(0, np.str_), *names]), return_inverse=True)
    return np.asarray(numbers, np.int64)


def _mean(values: Floats) -> Floats:
    """Return the mean of `(N, 2)` as `(1, 2)`; of none not a number."""
    if not len(values):
        return np.full((1, 2), np.nan, np.float32)
    return np.asarray(values.mean(axis=0, keepdims=True), np.float32)
