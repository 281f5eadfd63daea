"""The options of the client's methods, as keywords; one that is not given is the service's default.

What they mean and their bounds: `service.options`.
"""

from typing import Literal, TypedDict


class AlignKeywords(TypedDict, total=False):
    """Options of the search for faces in a picture."""

    max_faces: int
    min_face_px: int
    min_quality: float
    denoise: Literal["auto", "off"]


class TrackKeywords(TypedDict, total=False):
    """Options of tracking."""

    max_faces: int
    min_face_px: int
    min_quality: float
    steady: bool
    smoothing: bool
    variant: str | None


class TrackClipKeywords(TrackKeywords, total=False):
    """Options of tracking a clip: every frame is looked at, or `rate_hz` a second."""

    rate_hz: float | None


class AffectPhotoKeywords(TypedDict, total=False):
    """Options of the estimate of the faces of a photograph."""

    variant: str | None
    min_face_px: int
    min_quality: float


class AffectKeywords(AffectPhotoKeywords, total=False):
    """Options of the estimate over time."""

    max_faces: int
    smoothing_s: float


class AffectClipKeywords(AffectKeywords, total=False):
    """Options for a clip: at most `rate_hz` frames a second are looked at."""

    rate_hz: float


class AffectLiveKeywords(AffectKeywords, total=False):
    """Options for a live session: `delay_s` later than a frame, with the sound until then."""

    delay_s: float
