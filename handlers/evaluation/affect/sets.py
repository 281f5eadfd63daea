"""Folders of labelled faces, utterances or recordings to the clips that models are measured on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handlers.evaluation.affect.clips import LabelledClip, to_pcm
from handlers.evaluation.affect.made import (
    FACES,
    HEALTHY,
    SPEECH,
    TEST_ACTORS,
    TEST_PART,
    Studio,
    crop_of,
    test_utterances,
)
from handlers.processing.mel import RATE_HZ
from handlers.training.datasets.affect.clips import Plot
from handlers.training.datasets.affect.ferplus import read_ferplus
from handlers.training.datasets.affect.ravdess import NAME
from handlers.training.datasets.affect.sound import read_mono

AUTO, FERPLUS, RAVDESS, MADE = "auto", "ferplus", "ravdess", "made"
LAYOUTS = (FERPLUS, RAVDESS, MADE)
MADE_CLIPS, HEALTHY_CLIPS = 24, 12
UTTERANCE_RATE_HZ = 5.0

WEAK = "Labels are weak: places of emotion words on the circumplex, not what anybody annotated."


@dataclass(frozen=True, eq=False)
class Material:
    """What models are measured on.

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


def read_material(root: Path, layout: str = AUTO, limit: int | None = None) -> Material:
    """A folder in one of the layouts; at most `limit` clips, spread evenly.

    Raises ValueError for an unknown layout, and where nothing of it is there.
    """
    name = find_layout(root) if layout == AUTO else layout
    if name == FERPLUS:
        return _ferplus(root, limit)
    if name == RAVDESS:
        return _ravdess(root, limit)
    if name == MADE:
        return _made(root, limit)
    raise ValueError(f"layout {name!r} is unknown: one of {', '.join(LAYOUTS)}")


def find_layout(root: Path) -> str:
    """Which layout a folder has. Raises ValueError for none."""
    if (root / "fer2013new.csv").is_file():
        return FERPLUS
    if (root / FACES).is_dir() and (root / SPEECH).is_dir():
        return MADE
    if any(NAME.fullmatch(path.stem) for path in root.rglob("*")):
        return RAVDESS
    raise ValueError(f"{root}: none of the layouts {', '.join(LAYOUTS)}; name one")


def spread(clips: Sequence[LabelledClip], limit: int | None) -> Sequence[LabelledClip]:
    """All, or `limit` of them at even distances."""
    if limit is None or limit >= len(clips):
        return clips
    return [clips[i * len(clips) // limit] for i in range(limit)]


def _ferplus(root: Path, limit: int | None) -> Material:
    faces = read_ferplus(root, TEST_PART)
    chosen = range(len(faces))
    if limit is not None and limit < len(faces):
        chosen = range(0, len(faces), -(-len(faces) // limit))
    clips = [
        LabelledClip(
            f"face-{i:05}", {}, np.zeros(1), faces.labels[i : i + 1], [crop_of(faces.images[i])]
        )
        for i in chosen
    ]
    return Material("FER2013Test", clips)


def _ravdess(root: Path, limit: int | None) -> Material:
    spoken = test_utterances(root)
    if limit is not None and limit < len(spoken):
        spoken = [spoken[i * len(spoken) // limit] for i in range(limit)]
    clips = []
    for one in spoken:
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
    return Material(f"RAVDESS, actors {TEST_ACTORS[0]}-{TEST_ACTORS[-1]}", clips, whole=True)


def _made(root: Path, limit: int | None) -> Material:
    studio = Studio.open(root)
    count = MADE_CLIPS if limit is None else limit
    clips = studio.clips(count, Plot())
    healthy = studio.clips(min(count, HEALTHY_CLIPS), HEALTHY)
    return Material("made clips", clips, healthy=healthy)
