"""Labelled clips in memory: what the networks are shown moment by moment, and how it goes bad."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from handlers.processing.arrays import Doubles, Floats, Image, Names, Pcm
from handlers.processing.degradations import LEVELS, REFERENCE_FACE_PX, degrade
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
FULL_SCALE = 2.0**15
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
        own_reference: whether 0 dB is the clip's own maximum, as in section 7.3.4, instead of the
            fixed power that is served.
        actions: what the faces do, `(40,)` each, None where that is not known.
    """

    name: str
    people: People
    times_s: Doubles
    labels: Floats
    faces: Sequence[Image | None]
    pcm: Pcm | None = None
    own_reference: bool = False
    actions: Sequence[Floats | None] | None = None

    def thinned(self, every: int) -> "LabelledClip":
        """Every so many moments; the sound stays whole."""
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
        """A harmed copy; a seed fixes it."""
        rng = np.random.default_rng(seed)
        faces, pcm = clip.faces, clip.pcm
        if self.picture is not None:
            faces = [None if face is None else self.picture(face, rng) for face in faces]
        if self.sound is not None and pcm is not None:
            pcm = to_pcm(self.sound(to_samples(pcm), rng))
        return replace(clip, faces=faces, pcm=pcm)


def _degraded(name: str, level: float) -> PictureHarm:
    return lambda face, rng: degrade(face, name, level, rng, face_px=face.shape[0] / FACE_CONTEXT)


def _white(samples: Floats, rng: np.random.Generator) -> Floats:
    """White noise as loud as the loud parts of a signal."""
    loud = float(np.percentile(np.abs(samples), 90)) if len(samples) else 0.0
    noise = rng.standard_normal(len(samples), dtype=np.float32)
    return np.asarray(noise * np.float32(loud))


def _static(face: Image, rng: np.random.Generator) -> Image:
    """A picture of noise alone."""
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


def to_samples(pcm: Pcm) -> Floats:
    """int16 -> float32 in [-1, 1]."""
    return np.asarray(pcm.astype(np.float32) / np.float32(FULL_SCALE))


def clip_of(recording: Recording, context: float, follower: Follower | None) -> LabelledClip:
    """A recording as a clip of at most 25 moments a second.

    Boxes are those of the set's landmarks where it has them, else what `follower` follows. Raises
    ValueError for a video that cannot be decoded, and without either.
    """
    watched = watch(recording, follower)
    return LabelledClip(
        recording.media.stem,
        {"person": recording.person},
        watched.times_s,
        labels_at(watched.times_s, recording),
        watched.faces(context),
        sound_of(recording),
    )


def picture_clip(picture: AffectPicture) -> LabelledClip:
    """A labelled picture as a clip of one moment, cut out by its box as the set gives it."""
    label = np.array([[picture.valence, picture.arousal]], np.float32)
    return LabelledClip(str(picture.path), {}, np.zeros(1), label, [crop_of_picture(picture)])
