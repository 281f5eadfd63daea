"""Inputs of the affect networks at a moment: the crop of a face, and the sound around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.networks.actions import ACTIONS
from handlers.predictors.alignment import upright_crop
from handlers.processing.audio_descriptors import PcmStream, descriptors, is_silent
from handlers.processing.boxes import CROP_PX, Crop
from handlers.processing.mel import REFERENCE, share_with_sound, to_network
from handlers.processing.mel_stream import MelStream

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Sound = MelStream | PcmStream

MOST_DEVIATIONS = 5.0
# Networks have learned from faces turned by less; others they take for another expression.
MOST_TURNED_RAD = float(np.radians(25.0))


@dataclass(frozen=True)
class Moment:
    """Face and sound of one moment; None is missing.

    `face` is a crop uint8 RGB `(128, 128, 3)`; `voice` what the network hears: a Mel window
    `(128, 128)` in [-1, 1], or descriptors `(50,)`; `actions` `(40,)` are what the face does, in
    the order of ACTIONS.
    """

    face: Image | None = None
    voice: Floats | None = None
    actions: Floats | None = None


def in_order(actions: Mapping[str, float] | None) -> Floats | None:
    """Order a face's actions by names as numbers `(40,)`."""
    return None if actions is None else np.array([actions[name] for name in ACTIONS], np.float32)


@dataclass(frozen=True)
class DescriptorScale:
    """Means and standard deviations `(50,)` of the descriptors in the training data."""

    mean: Floats
    std: Floats

    def apply(self, values: Floats) -> Floats:
        """Deviations from the mean, at most five."""
        scaled = (values - self.mean) / np.maximum(self.std, 1e-6)
        return np.clip(scaled, -MOST_DEVIATIONS, MOST_DEVIATIONS).astype(np.float32)


def crop_face(image: Image, box: Floats, context: float, landmarks: Floats | None = None) -> Image:
    """The crop `(128, 128, 3)` of a face, `context` times as wide as its landmarks' box.

    A face whose `landmarks` `(68, 2)` are turned farther than the networks have seen faces turned
    is cut upright.
    """
    if landmarks is not None:
        turned = upright_crop(landmarks, context, CROP_PX)
        if abs(turned.angle_rad) > MOST_TURNED_RAD:
            return turned.extract(image)
    return Crop.around(box, context, CROP_PX).extract(image)


def hear_window(sound: MelStream, time_s: float, reference: float = REFERENCE) -> Floats | None:
    """The Mel window `(128, 128)` in [-1, 1] around a time; None where all of it is silence.

    What is not heard lies at the floor, -1. `reference` is the power of 0 dB.
    """
    power, heard = sound.window(time_s)
    return to_network(power, reference) if share_with_sound(power, heard) > 0 else None


def hear_descriptors(sound: PcmStream, time_s: float, scale: DescriptorScale) -> Floats | None:
    """Scaled eGeMAPS descriptors `(50,)` around a time; None where nothing is heard there."""
    pcm = sound.around(time_s)
    return None if pcm is None or is_silent(pcm) else scale.apply(descriptors(pcm))


def windows_to_input(windows: Sequence[Floats]) -> Floats:
    """Mel windows `(128, 128)` -> three equal channels `(B, 3, 128, 128)` (7.3.4)."""
    return np.repeat(np.stack(windows)[:, None], 3, axis=1)
