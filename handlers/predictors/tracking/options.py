"""Options of a session's tracking: the thesis's trackers as configurations of one."""

from dataclasses import dataclass, replace
from enum import Enum

from handlers.predictors.detection.detector import MIN_FACE_PX
from handlers.predictors.tracking.state import OneEuro
from handlers.processing.landmarks import LEAST_QUALITY


class BoxSource(Enum):
    """The source of the box in which a face is aligned."""

    TRACKER = "tracker"  # BT from the last box, checked by FV
    DETECTOR = "detector"  # the detection nearest to the last box
    PREVIOUS = "previous"  # the last box as it is


@dataclass(frozen=True)
class Variant:
    """A row of the thesis's tables, given the landmark network that is handed in.

    With `aligns` the landmark network has the last word (line 18 of Algorithm 1 and 2), without
    it b_t = b_t^BT (Table 2.1). `denoises` lets it use its denoiser. With `validates` FV decides
    whether a face is followed (line 15), of BT's landmarks or, without BT, of the aligned ones.
    """

    source: BoxSource = BoxSource.TRACKER
    aligns: bool = True
    denoises: bool = True
    validates: bool = True

    def __post_init__(self) -> None:
        if not self.aligns and self.source is not BoxSource.TRACKER:
            raise ValueError(
                "without BT only the landmark network gives landmarks: aligns is False"
            )


_DETECTED = Variant(BoxSource.DETECTOR, validates=False)
_PREVIOUS = Variant(BoxSource.PREVIOUS, validates=False)
_FOLLOWED = Variant(BoxSource.PREVIOUS)  # section 3.4.4: model-free tracking with a failure check

# Each name with the landmark network that it is made of, "" for none.
VARIANTS: dict[str, tuple[str, Variant]] = {
    "crct": ("fll", Variant(denoises=False)),
    "bt": ("", Variant(aligns=False)),
    "fll-mt": ("fll", replace(_DETECTED, denoises=False)),
    "fll-t": ("fll", replace(_FOLLOWED, denoises=False)),
    "fadenn-d-t": ("fadenn-d", _FOLLOWED),
    "fadenn-s-t": ("fadenn-s", _FOLLOWED),
    "fadenn-m-t": ("fadenn-m", _FOLLOWED),
    "dcrt": ("dfa", Variant()),
    "crt": ("dfa", Variant(denoises=False)),
    "dfa-det": ("dfa", _DETECTED),
    "fle-det": ("dfa", replace(_DETECTED, denoises=False)),
    "dfa-prev": ("dfa", _PREVIOUS),
    "fle-prev": ("dfa", replace(_PREVIOUS, denoises=False)),
}


@dataclass(frozen=True)
class TrackingSettings:
    """Settings that belong to the weights, as the checkpoint's configuration keeps them.

    The contexts widen a landmark box to BT's and FV's crops. `t_b` bounds the distance of an
    accepted detection from the last valid box, in diagonals of that box (eq. 2.8, 4.14), `t_c` is
    FV's threshold, `seq_bt` the window n. A face lost for more than `patience` frames in a row is
    given up; None waits for ever, as the thesis does.
    """

    tracker_context: float
    validator_context: float
    t_b: float
    t_c: float
    seq_bt: int
    patience: int | None


@dataclass(frozen=True)
class TrackingOptions:
    """Options that belong to the session.

    `min_face_px` is the side of the smallest face searched for, `min_quality` that of the landmarks
    from which on a face is one. While there are some faces but fewer than `max_faces`, the detector
    runs on every `discover_every`-th frame. `steady` brings the looks at a face at rest together
    (see `stages.settle`); without it each frame's landmarks are its own. `smoothing` filters those
    that are reported, never those that the tracker goes on with; it needs frame times.
    """

    variant: Variant = Variant()
    max_faces: int = 1
    min_face_px: int = MIN_FACE_PX
    min_quality: float = LEAST_QUALITY
    discover_every: int = 10
    steady: bool = True
    smoothing: OneEuro | None = None
