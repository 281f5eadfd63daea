"""Annotated recordings and labelled pictures to clips, with their faces where these are."""

import numpy as np

from handlers.evaluation.affect.clips import LabelledClip
from handlers.training.datasets.affect.records import AffectPicture, Recording
from handlers.training.datasets.affect.sound import sound_of
from handlers.training.datasets.affect.watching import (
    Follower,
    crop_of_picture,
    labels_at,
    watch,
)


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
