"""The options that callers have, each declared once: its default, its bounds, what it means.

Queries, sockets, the command line and the client all take them from here. The client's methods
have them as keywords, of which one that is not given is the service's default; the command line
makes its options of the same keywords.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypedDict, TypeVar

from pydantic import Field

Value = TypeVar("Value")
SEARCHED_PX = 12  # the smallest face that the detector can look for, which costs most


@dataclass(frozen=True)
class Option(Generic[Value]):
    """One option; `least` and `most` bound numbers."""

    default: Value
    meaning: str
    least: float | None = None
    most: float | None = None

    @property
    def bounds(self) -> Any:
        """The bounds and the meaning, as pydantic has them."""
        finite = False if isinstance(self.default, float) else None
        return Field(ge=self.least, le=self.most, allow_inf_nan=finite, description=self.meaning)


MIN_FACE_PX = Option(40, "Smallest face that is looked for, in pixels.", 20, 4096)
MIN_QUALITY = Option(
    0.15,
    "What is found is a face from this quality on; below the default one quality means nothing. 0 "
    "keeps all upright ones that the detector takes for one.",
    0,
    1,
)
ALIGN_MAX_FACES = Option(64, "Most faces to return, best first; 64 if not given.", 1, 64)
TRACK_MAX_FACES = Option(1, "Most faces to follow at once.", 1, 8)
AFFECT_MAX_FACES = Option(
    1, "Most faces to follow at once, each estimated by itself; of a photograph, all are.", 1, 4
)
AFFECT_SMOOTHING_S = Option(
    0.25,
    "How fast valence and arousal follow: after so many seconds two thirds of a change are "
    "answered; 0 gives every moment's own. Variants of the thesis remember in their own way.",
    0,
    5,
)
STEADY = Option(
    True,
    "Whether looks at a face that holds still are brought together, which calms its landmarks "
    "without delaying motion; false gives every frame's own.",
)
SMOOTHING = Option(
    False, "Whether to calm the landmarks by a One-Euro filter; it needs frame times."
)
TRACK_VARIANT = Option[str | None](
    None, "Another tracker of the model, such as `crt`; its own one if not given."
)
AFFECT_VARIANT = Option[str | None](
    None, "Another network of the model, such as `vi-des`; its own one if not given."
)
TRACK_RATE_HZ = Option[float | None](
    None, "Most frames to look at, a second; every frame of the clip if not given.", 0.5, 1000
)
RATE_HZ = Option(25.0, "Most frames to look at, a second; of a slower clip all are.", 0.5, 100)
DELAY_S = Option(
    0.0, "How much later than its time a frame is estimated, with the sound until then.", 0, 1.5
)
DROP = Option(True, "Whether a newer frame replaces one that still waits; false for files.")
DENOISE = Option("auto", "`auto` denoises the faces that are found degraded, `off` none.")


class AlignKeywords(TypedDict, total=False):
    """Options of the search for faces in a picture."""

    max_faces: Annotated[int, ALIGN_MAX_FACES]
    min_face_px: Annotated[int, MIN_FACE_PX]
    min_quality: Annotated[float, MIN_QUALITY]
    denoise: Annotated[Literal["auto", "off"], DENOISE]


class TrackKeywords(TypedDict, total=False):
    """Options of tracking."""

    max_faces: Annotated[int, TRACK_MAX_FACES]
    min_face_px: Annotated[int, MIN_FACE_PX]
    min_quality: Annotated[float, MIN_QUALITY]
    steady: Annotated[bool, STEADY]
    smoothing: Annotated[bool, SMOOTHING]
    variant: Annotated[str | None, TRACK_VARIANT]


class TrackClipKeywords(TrackKeywords, total=False):
    """Options of tracking a clip: every frame is looked at, or `rate_hz` a second."""

    rate_hz: Annotated[float | None, TRACK_RATE_HZ]


class AffectPhotoKeywords(TypedDict, total=False):
    """Options of the estimate of the faces of a photograph."""

    variant: Annotated[str | None, AFFECT_VARIANT]
    min_face_px: Annotated[int, MIN_FACE_PX]
    min_quality: Annotated[float, MIN_QUALITY]


class AffectKeywords(AffectPhotoKeywords, total=False):
    """Options of the estimate over time."""

    max_faces: Annotated[int, AFFECT_MAX_FACES]
    smoothing_s: Annotated[float, AFFECT_SMOOTHING_S]


class AffectClipKeywords(AffectKeywords, total=False):
    """Options for a clip: at most `rate_hz` frames a second are looked at."""

    rate_hz: Annotated[float, RATE_HZ]


class AffectLiveKeywords(AffectKeywords, total=False):
    """Options for a live session: `delay_s` later than a frame, with the sound until then."""

    delay_s: Annotated[float, DELAY_S]
