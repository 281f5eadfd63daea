"""Folders of labelled faces, utterances or recordings to the clips that models are measured on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from handlers.evaluation.affect.clips import HARMS, LabelledClip, clip_of, picture_clip
from handlers.evaluation.affect.made import (
    CASTS,
    FACES,
    HEALTHY,
    MADE,
    SPEECH,
    TEST_ACTORS,
    TEST_PART,
    ClipMaker,
    utterances_of_test_actors,
)
from handlers.evaluation.output import spread
from handlers.predictors.alignment import AlignmentPredictor
from handlers.processing.arrays import Floats
from handlers.processing.mel import RATE_HZ
from handlers.training.affect.made.clips import ClipEvents
from handlers.training.affect.made.studio import balanced
from handlers.training.datasets.affect.pictures import (
    actions_of,
    crop_framed,
    frame_faces,
    read_affectnet,
    read_citizen_faces,
    read_ferplus,
    whole_box,
)
from handlers.training.datasets.affect.recordings import AFFECTNET, FOLDS, MEASURED, folds_of
from handlers.training.datasets.affect.records import AffectFaces, Utterance
from handlers.training.datasets.affect.speech import SPOKEN, read_mono, to_pcm
from handlers.training.datasets.affect.watching import Follower

AUTO, FERPLUS, CITIZEN = "auto", "ferplus", "citizen"
PUBLISHED = {
    "sewa": "SEWA",
    "semaine": "SEMAINE",
    "afew-va": "AFEW-VA",
    "aff-wild2": "Aff-Wild2",
}
LAYOUTS = (FERPLUS, CITIZEN, *SPOKEN, *CASTS, AFFECTNET, *MEASURED)
MADE_CLIPS, HEALTHY_CLIPS = 24, 12
UTTERANCE_RATE_HZ = 5.0

WEAK = "Labels are weak: places of emotion words on the circumplex, not what anybody annotated."
NAMELESS = "FER+ does not say who its faces show: each of them counts as a person of its own."


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Clips that models are measured on.

    Attributes:
        name: what the tables call it.
        clips: everything, for one fold.
        folds: the clips of each fold where there are several, else empty.
        healthy: clips with both modalities in order, to harm them; may be empty.
        whole: whether a clip counts as one moment, its mean.
        sets: data sets whose published tables stand beside; empty for all.
        note: what is to be known of the labels.
    """

    name: str
    clips: Sequence[LabelledClip]
    folds: Sequence[Sequence[LabelledClip]] = ()
    healthy: Sequence[LabelledClip] = ()
    whole: bool = False
    sets: tuple[str, ...] = ()
    note: str = WEAK

    def degraded(self, kind: str) -> "EvaluationSet":
        """Return the same, all faces and voices degraded: `blur`, `darkness`, `noise` or
        `low level`.

        Raises ValueError for another kind.
        """
        harms = [harm for harm in HARMS if harm.name == kind]
        if not harms:
            known = ", ".join(dict.fromkeys(harm.name for harm in HARMS))
            raise ValueError(f"{kind!r} is no degradation; known are {known}")

        def worse(clips: Sequence[LabelledClip]) -> list[LabelledClip]:
            found = list(clips)
            for harm in harms:
                found = [harm(clip, seed) for seed, clip in enumerate(found)]
            return found

        said = "; ".join(f"{harm.modality}: {harm.strength}" for harm in harms)
        return replace(
            self,
            clips=worse(self.clips),
            folds=[worse(fold) for fold in self.folds],
            healthy=(),
            note=f"{self.note} All degraded by {kind} ({said}).".strip(),
        )


@dataclass(frozen=True)
class Following:
    """Ways to find faces, each asked for only where there are such faces.

    Attributes:
        context: how many times wider than the landmarks' box a crop is.
        tracker: what follows faces in recordings without landmarks.
        aligner: what finds the landmarks of photographs; without it they are taken to fill them.
    """

    context: Callable[[], float] = lambda: 1.25
    tracker: Callable[[], Follower] | None = None
    aligner: Callable[[], AlignmentPredictor] | None = None


def read_material(
    root: Path,
    layout: str = AUTO,
    limit: int | None = None,
    following: Following | None = None,
    *,
    even: bool = False,
) -> EvaluationSet:
    """Read a folder in one of the layouts; at most `limit` clips, spread evenly. With `even`
    photographs of every word come about as often.

    Raises ValueError for an unknown layout, and where nothing of it is there.
    """
    name = find_layout(root) if layout == AUTO else layout
    if name == FERPLUS:
        return _faces("FER2013Test", read_ferplus(root, TEST_PART), limit, following, even)
    if name == CITIZEN:
        return _faces("citizen faces", read_citizen_faces(root), limit, following, even)
    if name == "ravdess":
        spoken = utterances_of_test_actors(root)
        return _spoken(f"RAVDESS, actors {TEST_ACTORS[0]}-{TEST_ACTORS[-1]}", spoken, limit)
    if name in SPOKEN:
        return _spoken(SPOKEN[name].title, SPOKEN[name].read(root), limit)
    if name in CASTS:
        return _made(root, name, limit)
    if name == AFFECTNET:
        pictures = spread(read_affectnet(root), limit)
        return EvaluationSet("AffectNet", [picture_clip(one) for one in pictures], note="")
    if name in MEASURED:
        return _recorded(name, root, limit, following or Following())
    raise ValueError(f"layout {name!r} is unknown: one of {', '.join(LAYOUTS)}")


def find_layout(root: Path) -> str:
    """Tell which layout a folder has. Raises ValueError for none."""
    if (root / "fer2013new.csv").is_file():
        return FERPLUS
    if (root / FACES).is_dir() and (root / SPEECH).is_dir():
        return MADE
    stems = [path.stem for path in root.rglob("*")]
    for name, spoken in SPOKEN.items():
        if any(map(spoken.name.fullmatch, stems)):
            return name
    raise ValueError(f"{root}: none of the layouts {', '.join(LAYOUTS)}; name one")


def _recorded(name: str, root: Path, limit: int | None, following: Following) -> EvaluationSet:
    """Return recordings with their faces followed, and the folds of the people in them.

    Folds are those of the whole set, whatever the limit: a model was learnt without one of them.
    """
    everything = MEASURED[name](root)
    chosen = spread(range(len(everything)), limit)
    recordings = {place: everything[place] for place in chosen}
    tracker = None
    if following.tracker is not None and any(r.landmarks is None for r in recordings.values()):
        tracker = following.tracker()
    context = following.context()
    clips = {place: clip_of(one, context, tracker) for place, one in recordings.items()}
    folds: list[list[LabelledClip]] = []
    if len({one.person for one in everything}) >= FOLDS:
        folds = [[clips[i] for i in fold if i in clips] for fold in folds_of(everything)]
    data = PUBLISHED.get(name)
    return EvaluationSet(
        data or name.upper(),
        list(clips.values()),
        folds if all(folds) else (),
        sets=(data,) if data else (),
        note="",
    )


def _faces(
    name: str, faces: AffectFaces, limit: int | None, following: Following | None, even: bool
) -> EvaluationSet:
    """Return photographs of single faces, cut out as a tracker cuts them out."""
    following = following or Following()
    if even:
        chosen = faces.take(balanced(faces, limit or len(faces), np.random.default_rng(0)))
        name = f"{name}, words evened"
    else:
        chosen = faces.take(np.array(spread(range(len(faces)), limit)))
    actions: Sequence[Floats | None] = [None] * len(chosen)
    if following.aligner is None:
        boxes = np.stack([whole_box(image.shape[0]) for image in chosen.images])
    else:
        aligner = following.aligner()
        boxes = frame_faces(list(chosen.images), aligner)
        actions = actions_of(list(chosen.images), list(boxes), aligner)
    context = following.context()
    clips = [_face_clip(chosen, i, boxes[i], context) for i in range(len(chosen))]
    clips = [replace(clip, actions=[one]) for clip, one in zip(clips, actions, strict=True)]
    return EvaluationSet(name, clips)


def _face_clip(faces: AffectFaces, index: int, box: Floats, context: float) -> LabelledClip:
    person = faces.people[index]
    people = {} if person is None else {"person": person}
    crop = crop_framed(faces.images[index], box, context)
    label = faces.labels[index : index + 1]
    return LabelledClip(f"face-{index:05}", people, np.zeros(1), label, [crop])


def _spoken(name: str, utterances: Sequence[Utterance], limit: int | None) -> EvaluationSet:
    clips = []
    for one in spread(utterances, limit):
        samples = read_mono(one.path)
        times = np.arange(0, len(samples) / RATE_HZ, 1 / UTTERANCE_RATE_HZ)
        label = np.array([[one.valence, one.arousal]], np.float32)
        clips.append(
            LabelledClip(
                f"{one.actor}/{one.path.stem}",
                {"actor": one.actor},
                times,
                np.repeat(label, len(times), axis=0),
                [None] * len(times),
                to_pcm(samples),
            )
        )
    return EvaluationSet(name, clips, whole=True)


def _made(root: Path, cast: str, limit: int | None) -> EvaluationSet:
    maker = ClipMaker.open(root, cast)
    count = MADE_CLIPS if limit is None else limit
    clips = maker.clips(count, ClipEvents())
    healthy = maker.clips(min(count, HEALTHY_CLIPS), HEALTHY)
    title = "made clips" if cast == MADE else f"made clips ({cast})"
    return EvaluationSet(title, clips, healthy=healthy, note=f"{WEAK} {NAMELESS}")
