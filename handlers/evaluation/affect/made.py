"""Made clips of people and actors that a training has not met: faces with utterances."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from handlers.evaluation.affect.clips import PICTURE_HARMS, SOUND_HARMS, LabelledClip
from handlers.processing.arrays import Floats, Image, Names
from handlers.processing.mel import RATE_HZ, pcm_to_samples
from handlers.training.affect.made.clips import (
    FRAMES_A_SECOND,
    ActorPool,
    Clip,
    ClipEvents,
    ModalityHealth,
    make_clip,
)
from handlers.training.datasets.affect.pictures import (
    crop_framed,
    read_citizen_faces,
    read_ferplus,
    split_people,
    whole_box,
)
from handlers.training.datasets.affect.records import AffectFaces, Utterance
from handlers.training.datasets.affect.speech import EMODB, RAVDESS, read_mono, to_pcm

MADE = "made"
FACES, SPEECH = "expressions", "speech/ravdess"
TEST_PART = "PrivateTest"
TEST_ACTORS = ("21", "22", "23", "24")
CONTEXT = 1.15
# Of all made clips, so that another seed makes others.
SEED = 7001
HEALTHY = ClipEvents(healthy_clips=1.0)


class ClipMaker:
    """Grey faces `(S, S)` with the people `(N,)` they show and utterances in memory, the cast they
    are, the clips made of them."""

    def __init__(
        self, faces: Sequence[Image], people: Names, samples: Sequence[Floats], cast: ActorPool
    ) -> None:
        self.faces, self.people, self.samples, self.cast = faces, people, samples, cast

    @classmethod
    def open(cls, root: Path, cast: str = MADE) -> "ClipMaker":
        """Read the faces and utterances of one of CASTS below `root/expressions` and
        `root/speech`.

        Raises ValueError or OSError where they are not there.
        """
        sets, spoken = CASTS[cast](root)
        samples = [read_mono(one.path) for one in spoken]
        everybody = ActorPool(
            np.concatenate([faces.labels for faces in sets]),
            tuple(word for faces in sets for word in faces.emotions),
            np.array([[one.valence, one.arousal] for one in spoken], np.float32),
            tuple(one.emotion for one in spoken),
            tuple(one.actor for one in spoken),
            np.array([len(one) / RATE_HZ for one in samples], np.float32),
        )
        people = [name for faces in sets for name in faces.people]
        images = [image for faces in sets for image in faces.images]
        return cls(images, named(people), samples, everybody)

    def clips(self, count: int, plot: ClipEvents, seed: int = SEED) -> list[LabelledClip]:
        """Return the first so many clips of a plot; each is the same whatever else is made."""
        return [self._clip(index, plot, seed) for index in range(count)]

    def _clip(self, index: int, plot: ClipEvents, seed: int) -> LabelledClip:
        rng = np.random.default_rng([seed, index])
        clip = make_clip(self.cast, plot, rng)
        kind = "healthy" if plot == HEALTHY else "made"
        crops = {place: crop_of(self.faces[place]) for place in set(clip.face.tolist())}
        made = LabelledClip(
            f"{kind}-{index:03}",
            {
                "person": self.people[clip.face],
                "actor": clip.actor,
                "clip": f"{kind}-{index:03}",
            },
            np.arange(len(clip.face)) / FRAMES_A_SECOND,
            clip.labels,
            [crops[place] for place in clip.face.tolist()],
            to_pcm(self._sound(clip)),
        )
        return with_stretches(made, clip, rng)

    def _sound(self, clip: Clip) -> Floats:
        """Return the utterances one after another, each as far as it is heard in the clip."""
        cuts = np.flatnonzero(np.diff(clip.heard_s) < 0) + 1
        parts = []
        for run in np.split(np.arange(len(clip.voice)), cuts):
            begin = round(float(clip.heard_s[run[0]]) * RATE_HZ)
            length = round(len(run) / FRAMES_A_SECOND * RATE_HZ)
            parts.append(self.samples[int(clip.voice[run[0]])][begin : begin + length])
        return np.concatenate(parts)


def _held_out(root: Path) -> tuple[list[AffectFaces], list[Utterance]]:
    """Read whom nothing shipped learned from: FER+'s test part, a fifth of the citizens where their
    faces are there, the test actors of RAVDESS."""
    sets, spoken = _of_ferplus(root)
    if (root / FACES / "citizen_faces.csv").is_file():
        sets.append(split_people(read_citizen_faces(root / FACES))[1])
    return sets, spoken


def _of_ferplus(root: Path) -> tuple[list[AffectFaces], list[Utterance]]:
    """Read FER+'s test part and RAVDESS's test actors."""
    return [read_ferplus(root / FACES, TEST_PART)], utterances_of_test_actors(root / SPEECH)


def _of_citizen(root: Path) -> tuple[list[AffectFaces], list[Utterance]]:
    """Read all citizen faces and all of EMO-DB."""
    return [read_citizen_faces(root / FACES)], EMODB.read(root / "speech" / "emodb")


# Those who appear: with the last two, what learned without `ferplus` and `ravdess`, or without
# `citizen` and `emodb`, is measured on sources that it did not learn from.
CASTS: Mapping[str, Callable[[Path], tuple[list[AffectFaces], list[Utterance]]]] = {
    MADE: _held_out,
    f"{MADE}-ferplus": _of_ferplus,
    f"{MADE}-citizen": _of_citizen,
}


def named(people: Sequence[str | None]) -> Names:
    """Name the person that each face shows; one without a name shows someone of its own."""
    return np.array([name or f"face {place}" for place, name in enumerate(people)])


def utterances_of_test_actors(root: Path) -> list[Utterance]:
    """Read the utterances of RAVDESS's test actors; raises ValueError where they are not there."""
    spoken = [one for one in RAVDESS.read(root) if one.actor in TEST_ACTORS]
    if not spoken:
        raise ValueError(f"{root}: none of the actors {', '.join(TEST_ACTORS)}")
    return spoken


def with_stretches(made: LabelledClip, clip: Clip, rng: np.random.Generator) -> LabelledClip:
    """Return the clip with its stretches gone bad: degraded faces and sound, no face, silence."""
    harm = PICTURE_HARMS[str(rng.choice(list(PICTURE_HARMS)))]
    worse = SOUND_HARMS[str(rng.choice(list(SOUND_HARMS)))]
    faces: list[Image | None] = []
    for face, health in zip(made.faces, clip.face_health, strict=True):
        if face is None or health == ModalityHealth.MISSING:
            faces.append(None)
        else:
            faces.append(harm(face, rng) if health == ModalityHealth.DEGRADED else face)
    if made.pcm is None:
        return replace(made, faces=faces)
    frame = (np.arange(len(made.pcm)) / RATE_HZ * FRAMES_A_SECOND).astype(np.intp)
    heard = clip.voice_health[np.minimum(frame, len(clip.voice_health) - 1)]
    samples = pcm_to_samples(made.pcm)
    samples[heard == ModalityHealth.DEGRADED] = worse(
        samples[heard == ModalityHealth.DEGRADED], rng
    )
    samples[heard == ModalityHealth.MISSING] = 0
    return replace(made, faces=faces, pcm=to_pcm(samples))


def crop_of(image: Image) -> Image:
    """Return a grey face `(S, S)` as a crop `(128, 128, 3)`, cut about as a tracker cuts it."""
    return crop_framed(image, whole_box(image.shape[0]), CONTEXT)
