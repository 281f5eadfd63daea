"""One session's run of moments: what is asked, what is answered, and the way between."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.networks.variants import VOICE
from handlers.predictors.affect.estimator import (
    AffectState,
    Answer,
    Estimator,
    Lane,
    Moment,
    Reading,
    Voice,
    crop_face,
    in_order,
)
from handlers.predictors.affect.speech import SpeechDetector
from handlers.predictors.detection.detector import MIN_FACE_PX
from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.results import Status, TrackedFace
from handlers.predictors.tracking.state import Memory
from handlers.processing.landmarks import LEAST_QUALITY

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
Pcm = NDArray[np.int16]
Record = dict[str, Any]
# Describes followed faces, each with the frame that it was seen in.
Describe = Callable[[Sequence[tuple[Image, TrackedFace]]], Sequence[Record]]

SEEN = (Status.TRACKING, Status.REDETECTED)
# What is no further than this from the middle of the circumplex is neutral.
NEUTRAL = 0.2
# The side of a landmarks' box from which on a face can be read as well as a larger one.
READABLE_PX = 40
# The lane of a moment as a whole; those of several faces have the faces' numbers, from 1 on.
WHOLE = 0
# What is remembered of a face that is not seen for so long is of no use.
KEPT_S = 5.0
SMOOTHING_S = 0.25


@dataclass(frozen=True)
class FrameAffect:
    """Affect at `time_s`, of `face` where one is followed.

    `valence` and `arousal` in [-1, 1] are None where they are not estimated: both where nothing
    could be `used`, of "face" and "voice". `quadrants` `(4,)` are D's probabilities, as QUADRANTS;
    None for networks whose D estimates affect itself. `attention` weighs the past states held,
    oldest first, and `attention_ages_s` says how old they are. `gate` is the mean of Z_G: 1 is all
    face, 0 all voice. `unspoken` says that there was sound around the moment and no speech in it.
    `expressions` are shares of EXPRESSIONS, empty where the networks tell none. `confidence` in
    [0, 1] is how far the estimate can be trusted. `others` are further faces, each by itself, and
    `voice` the arousal of the voice, which then is of none of them.
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
    expressions: tuple[float, ...] = ()
    confidence: float | None = None
    others: "tuple[FrameAffect, ...]" = ()
    voice: float | None = None

    @property
    def quadrant(self) -> str | None:
        """That of valence and arousal; D's first guess may be another, see `quadrants`."""
        if self.valence is None or self.arousal is None:
            return None
        return quadrant_of(self.valence, self.arousal)


def quadrant_of(valence: float, arousal: float) -> str:
    """Return the quadrant of a point of the circumplex; `neutral` near its middle, where signs mean
    nothing."""
    if math.hypot(valence, arousal) < NEUTRAL:
        return "neutral"
    sign = "positive" if valence >= 0 else "negative"
    return f"{sign}-{'active' if arousal >= 0 else 'passive'}"


def share_of_news(passed_s: float, smoothing_s: float) -> float:
    """Weigh a moment in an exponential average by time, so long after the one before."""
    return 1 - math.exp(-passed_s / smoothing_s) if smoothing_s > 0 else 1.0


def trust(answer: Answer, box: Floats, face_probability: float | None = None) -> float | None:
    """Combine how sure the networks are, that there is a face, and that
    its landmarks' box `(4,)` is large enough."""
    if answer.sure is None:
        return None
    side = float((box[2:] - box[:2]).max())
    is_face = 1.0 if face_probability is None else face_probability
    return answer.sure * is_face * min(side / READABLE_PX, 1.0)


@dataclass(frozen=True)
class Heard:
    """Sound `(N,)` at 22 050 Hz; `start` is its first sample's index, counted from time zero."""

    start: int
    pcm: Pcm


@dataclass(frozen=True)
class AffectRow:
    """A run of moments of one session.

    `frames` are uint8 RGB `(H, W, 3)`, None where there is no picture; `times_s` increase and lie
    behind the state's. `state` None starts a session. Two thirds of a change are answered after
    `smoothing_s`, by networks without a memory of their own.
    """

    frames: Sequence[Image | None]
    times_s: Sequence[float]
    sound: Heard | None
    state: AffectState | None
    variant: str
    min_face_px: int = MIN_FACE_PX
    min_quality: float = LEAST_QUALITY
    max_faces: int = 1
    smoothing_s: float = SMOOTHING_S


@dataclass(frozen=True)
class AffectResult:
    """The moments of a row and the state after them; `timings_ms` are those of the whole batch.

    `records` describe the faces of each moment that has a picture, by their `track_id`.
    """

    frames: tuple[FrameAffect, ...]
    state: AffectState
    records: tuple[Mapping[int, Record], ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict, compare=False)


class RowRun:
    """A row on its way through a step."""

    def __init__(self, row: AffectRow, estimator: Estimator) -> None:
        self.row, self.estimator = row, estimator
        self.state = row.state or AffectState(estimator.silence())
        self.sound, self.speech = self.state.sound, self.state.speech
        self.tracker = self.state.tracker
        self.lanes = dict(self.state.lanes)
        self.faces: list[tuple[TrackedFace, ...]] = [()] * len(row.frames)
        self.records: list[dict[int, Record]] = [{} for _ in row.frames]
        self.readings: list[dict[int, Reading | None]] = [{} for _ in row.frames]
        self.answers: list[dict[int, FrameAffect]] = [{} for _ in row.frames]
        self.unspoken = [False] * len(row.frames)
        self.voices: list[Voice | None] = [None] * len(row.frames)

    def hear(self, detector: SpeechDetector) -> None:
        """Take the row's sound, before a moment is listed: what is heard around each, where
        somebody speaks."""
        sound = self.row.sound
        if sound is not None and self.estimator.hears:
            self.sound = self.sound.push(sound.pcm, sound.start)
            self.speech = detector.hear(self.speech, sound.pcm, sound.start)
        for moment, time_s in enumerate(self.row.times_s):
            heard, speaks = self.estimator.hear(self.sound, time_s), self.speech.speaks(time_s)
            self.unspoken[moment] = heard is not None and not speaks
            self.voices[moment] = heard if speaks else None

    def looks_at(self, moment: int) -> bool:
        frames = self.row.frames
        return self.estimator.sees and moment < len(frames) and frames[moment] is not None

    def frame(self, moment: int) -> Image:
        frame = self.row.frames[moment]
        if frame is None:
            raise ValueError(f"there is no frame {moment}")
        return frame

    def tracking(self) -> TrackingOptions:
        """Return the options by which faces are followed."""
        return TrackingOptions(
            max_faces=self.row.max_faces,
            min_face_px=self.row.min_face_px,
            min_quality=self.row.min_quality,
        )

    def moments(self, moment: int) -> dict[int, Moment]:
        """List the lanes of one of the run's moments. The voice is of the only face; of several,
        it is nobody's."""
        voice, faces = self.voices[moment], self.seen(moment)
        given = None if len(faces) > 1 else voice
        moments = {self._lane(face): self._moment(moment, face, given) for face in faces}
        return moments if len(faces) == 1 else {WHOLE: Moment(None, voice)} | moments

    def seen(self, moment: int) -> list[TrackedFace]:
        """Return the faces of a moment that an estimate can be made of."""
        return [face for face in self.faces[moment] if face.status in SEEN]

    def news(self, moment: int, lane: int) -> float:
        """Weigh a moment beside what was before: more, the longer ago that is."""
        if lane not in self.lanes:
            return 1.0
        passed_s = self.row.times_s[moment] - self.lanes[lane].time_s
        return share_of_news(passed_s, self.row.smoothing_s)

    def memory(self, lane: int) -> Memory | None:
        return self.lanes[lane].memory if lane in self.lanes else None

    def take(self, moment: int, lane: int, reading: Reading, answer: Answer) -> None:
        """Take a lane's answer."""
        time_s, held = self.row.times_s[moment], len(answer.attention)
        before = self.lanes[lane].times_s if lane in self.lanes else ()
        ages = tuple(time_s - past for past in before[len(before) - held :])
        face = next((one for one in self.seen(moment) if self._lane(one) == lane), None)
        self.answers[moment][lane] = FrameAffect(
            time_s,
            answer.valence,
            answer.arousal,
            reading.quadrants,
            answer.attention,
            ages,
            reading.gate,
            reading.used,
            face,
            expressions=answer.expressions,
            confidence=None if face is None else trust(answer, face.box, face.face_probability),
        )
        kept = int(answer.memory["held"]) if "held" in answer.memory else 0
        times_s = (*before, time_s)
        self.lanes[lane] = Lane(answer.memory, time_s, times_s[len(times_s) - kept :])

    def _lane(self, face: TrackedFace) -> int:
        """Return the lane of a face; one face is the moment as a whole: who it is may change."""
        return WHOLE if self.row.max_faces == 1 else face.track_id

    def _moment(self, moment: int, face: TrackedFace, voice: Voice | None) -> Moment:
        frame, context = self.frame(moment), self.estimator.context
        crop = crop_face(frame, face.box, context, face.landmarks)
        return Moment(crop, voice, in_order(face.alignment.actions if face.alignment else None))

    def _result(self, moment: int) -> FrameAffect:
        """Describe a moment: its first face, then the others; without a face, its voice."""
        answers, faces = self.answers[moment], self.faces[moment]
        unspoken = self.unspoken[moment]
        whole = answers.get(WHOLE, FrameAffect(self.row.times_s[moment]))
        told = [
            answers.get(self._lane(face), FrameAffect(self.row.times_s[moment], face=face))
            if face.status in SEEN
            else FrameAffect(self.row.times_s[moment], face=face)
            for face in faces
        ]
        if len(told) <= 1 and not (told and told[0].used):
            face = faces[0] if faces else None
            return replace(whole, face=face, unspoken=unspoken)
        voice = whole.arousal if whole.used == (VOICE,) else None
        return replace(told[0], others=tuple(told[1:]), voice=voice, unspoken=unspoken)

    def conclude(self, timings_ms: dict[str, float]) -> AffectResult:
        time_s = self.row.times_s[-1] if self.row.times_s else self.state.time_s
        lanes = {
            number: lane
            for number, lane in self.lanes.items()
            if number == WHOLE or time_s - lane.time_s < KEPT_S
        }
        state = AffectState(
            self.sound.forget_before(max(time_s, 0.0)),
            self.speech.forget_before(max(time_s, 0.0)),
            self.state.step + len(self.row.frames),
            time_s,
            self.tracker,
            lanes,
        )
        results = tuple(self._result(moment) for moment in range(len(self.row.frames)))
        return AffectResult(results, state, tuple(self.records), timings_ms)
