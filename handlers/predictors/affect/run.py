"""One session's run of moments: what is asked, what is answered, and the way between."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.affect.estimator import Answer, Estimator, Reading
from handlers.predictors.affect.inputs import Moment, crop_face
from handlers.predictors.affect.speech import SpeechDetector
from handlers.predictors.affect.state import AffectState
from handlers.predictors.detection.detector import MIN_FACE_PX
from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.results import Status, TrackedFace
from handlers.processing.quality import LEAST_QUALITY

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
Pcm = NDArray[np.int16]

SEEN = (Status.TRACKING, Status.REDETECTED)
# Without a face the detector looks about so often: on every picture it costs more than all else.
SEARCH_S, MOST_SKIPPED = 0.12, 100


@dataclass(frozen=True)
class FrameAffect:
    """Affect at `time_s`.

    `valence` and `arousal` in [-1, 1] are None where they are not estimated: both where nothing
    could be `used`, of "face" and "voice". `quadrants` `(4,)` are D's probabilities, as QUADRANTS;
    None for networks whose D estimates affect itself. `attention` weighs the past states held,
    oldest first, and `attention_ages_s` says how old they are. `gate` is the mean of Z_G: 1 is all
    face, 0 all voice. `unspoken` says that there was sound around the moment and no speech in it.
    """

    time_s: float
    valence: float | None = None
    arousal: float | None = None
    quadrants: Floats | None = None
    attention: tuple[float, ...] = ()
    attention_ages_s: tuple[float, ...] = ()
    gate: float | None = None
    used: tuple[str, ...] = ()
    face: TrackedFace | None = None
    unspoken: bool = False

    @property
    def quadrant(self) -> str | None:
        """That of valence and arousal; D's first guess may be another, see `quadrants`."""
        if self.valence is None or self.arousal is None:
            return None
        return quadrant_of(self.valence, self.arousal)


def quadrant_of(valence: float, arousal: float) -> str:
    """The quadrant of a point of the circumplex; zero counts as positive, and as active."""
    return f"{_sign(valence)}-{'active' if arousal >= 0 else 'passive'}"


def _sign(valence: float) -> str:
    return "positive" if valence >= 0 else "negative"


@dataclass(frozen=True)
class Heard:
    """Sound `(N,)` at 22 050 Hz; `start` is its first sample's index, counted from time zero."""

    start: int
    pcm: Pcm


@dataclass(frozen=True)
class AffectRow:
    """A run of moments of one session.

    `frames` are uint8 RGB `(H, W, 3)`, None where there is no picture; `times_s` increase and lie
    behind the state's. `state` None starts a session.
    """

    frames: Sequence[Image | None]
    times_s: Sequence[float]
    sound: Heard | None
    state: AffectState | None
    variant: str
    min_face_px: int = MIN_FACE_PX
    min_quality: float = LEAST_QUALITY


@dataclass(frozen=True)
class AffectResult:
    """The moments of a row and the state after them; `timings_ms` are those of the whole batch."""

    frames: tuple[FrameAffect, ...]
    state: AffectState
    timings_ms: dict[str, float] = field(default_factory=dict, compare=False)


class Run:
    """A row on its way through a step."""

    def __init__(self, row: AffectRow, estimator: Estimator, detector: SpeechDetector) -> None:
        self.row, self.estimator = row, estimator
        self.state = row.state or AffectState(estimator.silence())
        self.sound, self.speech = self.state.sound, self.state.speech
        if row.sound is not None and estimator.hears:
            self.sound = self.sound.push(row.sound.pcm, row.sound.start)
            self.speech = detector.hear(self.speech, row.sound.pcm, row.sound.start)
        self.tracker, self.memory = self.state.tracker, self.state.memory
        self.times_s = list(self.state.times_s)
        self.faces: list[TrackedFace | None] = [None] * len(row.frames)
        self.readings: list[Reading | None] = [None] * len(row.frames)
        self.unspoken = [False] * len(row.frames)
        self.results: list[FrameAffect] = []

    def looks_at(self, moment: int) -> bool:
        frames = self.row.frames
        return self.estimator.sees and moment < len(frames) and frames[moment] is not None

    def frame(self, moment: int) -> Image:
        frame = self.row.frames[moment]
        if frame is None:
            raise ValueError(f"there is no frame {moment}")
        return frame

    def tracking(self, moment: int) -> TrackingOptions:
        """How the face is followed: one, looked for by time and not by picture."""
        before = self.row.times_s[moment - 1] if moment else self.state.time_s
        pictures = round(SEARCH_S / (self.row.times_s[moment] - before))
        every = min(max(pictures, 1), MOST_SKIPPED)
        return TrackingOptions(
            min_face_px=self.row.min_face_px,
            min_quality=self.row.min_quality,
            search_every=every,
        )

    def moment(self, moment: int) -> Moment:
        """What one of the run's moments gives to use: of what is heard, where somebody speaks."""
        time_s = self.row.times_s[moment]
        heard = self.estimator.hear(self.sound, time_s)
        speaks = self.speech.speaks(time_s)
        self.unspoken[moment] = heard is not None and not speaks
        return Moment(self._crop(moment), heard if speaks else None)

    def _crop(self, moment: int) -> Image | None:
        face = self.faces[moment]
        if face is None or face.status not in SEEN:
            return None
        return crop_face(self.frame(moment), face.box, self.estimator.context)

    def pass_by(self, moment: int) -> None:
        """A moment that gives nothing to use: memory stays as it is."""
        time_s, face = self.row.times_s[moment], self.faces[moment]
        self.results.append(FrameAffect(time_s, face=face, unspoken=self.unspoken[moment]))

    def take(self, moment: int, reading: Reading, answer: Answer) -> None:
        """A moment's answer."""
        time_s, held = self.row.times_s[moment], len(answer.attention)
        ages = [time_s - past for past in self.times_s[len(self.times_s) - held :]]
        self.results.append(
            FrameAffect(
                time_s,
                answer.valence,
                answer.arousal,
                reading.quadrants,
                answer.attention,
                tuple(ages),
                reading.gate,
                reading.used,
                self.faces[moment],
                self.unspoken[moment],
            )
        )
        self.memory = answer.memory
        kept = int(answer.memory["held"]) if "held" in answer.memory else 0
        times_s = [*self.times_s, time_s]
        self.times_s = times_s[len(times_s) - kept :]

    def conclude(self, timings_ms: dict[str, float]) -> AffectResult:
        time_s = self.row.times_s[-1] if self.row.times_s else self.state.time_s
        state = AffectState(
            self.sound.forget_before(max(time_s, 0.0)),
            self.speech.forget_before(max(time_s, 0.0)),
            self.state.step + len(self.row.frames),
            time_s,
            self.tracker,
            self.memory,
            tuple(self.times_s),
        )
        return AffectResult(tuple(self.results), state, timings_ms)
