"""The options of the client's methods, as keywords; one that is not given is the service's default.

What they mean and their bounds: `service.options`.
"""

from typing import Literal, TypedDict


class AlignKeywords(TypedDict, total=False):
    """How the faces of a picture are looked for."""

    max_faces: int
    min_face_px: int
    min_quality: float
    denoise: Literal["auto", "off"]


class TrackKeywords(TypedDict, total=False):
    """How faces are followed."""

    max_faces: int
    min_face_px: int
    min_quality: float
    steady: bool
    smoothing: bool
    variant: str | None


class TrackClipKeywords(TrackKeywords, total=False):
    """How the faces of a clip are followed: every frame is looked at, or `rate_hz` a second."""

    rate_hz: float | None


class AffectPhotoKeywords(TypedDict, total=False):
    """How valence and arousal of the faces of a photograph are estimated."""

    variant: str | None
    min_face_px: int
    min_quality: float


class AffectKeywords(AffectPhotoKeywords, total=False):
    """How they are estimated over time."""

    max_faces: int
    smoothing_s: float


class AffectClipKeywords(AffectKeywords, total=False):
    """How they are estimated over a clip: `rate_hz` is how many frames a second at most."""

    rate_hz: float


class AffectLiveKeywords(AffectKeywords, total=False):
    """How they are estimated live: `delay_s` later than a frame, with the sound until then."""

    delay_s: float
