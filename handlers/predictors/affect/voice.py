"""Sound around a moment to its arousal, and nothing else: by a network and by a line.

The line's few numbers of a window are its spectrum's balance and how steady the pitch is. They say
nearly as much of arousal as a network does, and err on other windows: who is roused speaks with
more of the high bands, and with a pitch that moves.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from handlers.engines.base import Engine
from handlers.networks.variants import FACE, VOICE
from handlers.predictors.affect.estimator import (
    Answer,
    Estimator,
    Moment,
    Reading,
    Sound,
    Voice,
    encode_windows,
    halve,
    read_batches,
)
from handlers.predictors.affect.expressions import ExpressionEstimator, SmoothEstimator
from handlers.predictors.tracking.state import Memory
from handlers.processing.mel import RELATIVE_DB, VOICE_BANDS, share_with_sound, without_level
from handlers.processing.mel_stream import MelStream

Floats = NDArray[np.float32]

# Columns within 25 dB of the loudest are the voice's.
QUIET = 0.003
BANDS_A_GROUP = 8
# Up to 1 kHz bands are 26 Hz apart: a voice's harmonics repeat after 3 to 15 of them.
LINEAR_BANDS, PERIODS = 38, np.arange(3, 16)
# How alike a column is to itself one period on, where it has a pitch, and what is said of its
# steadiness where so few columns have one.
PITCHED, FEW, UNKNOWN = 0.3, 3, 0.2
# What a face counts for arousal beside a voice: neither is known to be nearer to what raters say.
FACE_SHARE = 0.5
AROUSAL = "arousal"  # the network's part, and its answer


def tone_features(windows: Sequence[Floats]) -> Floats:
    """Turn windows without level `(128, 128)` in [-1, 1] into `(B, 25)`: mean and spread of 11
    groups of bands in dB, the spread of the pitch, how harmonic the voice is, and one."""
    return np.stack([_features(window) for window in windows])


def _features(window: Floats) -> Floats:
    low, high = RELATIVE_DB
    decibels = (window[:VOICE_BANDS] + 1) / 2 * (high - low) + low
    totals = (10 ** (decibels / 10)).sum(axis=0)
    loud = decibels[:, totals >= QUIET * totals.max()]
    groups = loud.reshape(VOICE_BANDS // BANDS_A_GROUP, BANDS_A_GROUP, -1).mean(axis=1)
    pitch = _pitch(loud[:LINEAR_BANDS])
    return np.concatenate([groups.mean(axis=1), groups.std(axis=1), pitch, [1]]).astype(np.float32)


def _pitch(bands: NDArray[np.floating]) -> Floats:
    """Return how much the logarithm of the pitch moves, and how harmonic columns `(38, C)` are."""
    bands = bands - bands.mean(axis=0)
    power = np.maximum(np.square(bands).mean(axis=0), 1e-6)
    alike = np.stack([(bands[:-k] * bands[k:]).mean(axis=0) for k in PERIODS]) / power
    best = alike.max(axis=0)
    periods = PERIODS[alike.argmax(axis=0)][best > PITCHED]
    moves = np.log(periods).std() if len(periods) > FEW else UNKNOWN
    return np.array([moves, best.mean()], np.float32)


class VoiceEstimator(Estimator):
    """Arousal of a voice, moment by moment; valence is not to be had from it."""

    context = 1.0
    sees, hears = False, True

    def __init__(
        self, engine: Engine, line: Sequence[float] | None = None, share: float = 0.0
    ) -> None:
        """Take `line`, which weighs what `tone_features` gives; it counts `share`, the network the
        rest."""
        self.engine = engine
        self.line = None if line is None else np.array(line, np.float32)
        self.share = share

    def silence(self) -> MelStream:
        return MelStream()

    def hear(self, sound: Sound, time_s: float) -> Floats | None:
        """Return the window `(128, 128)` around a time without its level; None where it is
        silence."""
        if not isinstance(sound, MelStream):
            return None
        power, heard = sound.window(time_s)
        return without_level(power) if share_with_sound(power, heard) > 0 else None

    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        rows = [row for row, moment in enumerate(moments) if moment.voice is not None]
        return read_batches(moments, rows, self._read)

    def _read(self, moments: Sequence[Moment]) -> list[Reading]:
        heard = self.listen([moment.voice for moment in moments if moment.voice is not None])
        return [
            Reading(voice[AROUSAL], None, None, (VOICE,))
            for voice in heard
            if isinstance(voice, Mapping)
        ]

    def listen(self, voices: Sequence[Voice]) -> list[Voice]:
        return encode_windows(
            voices, lambda windows: [{AROUSAL: one[None]} for one in self.arousal(windows)]
        )

    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        news: Sequence[float],
    ) -> list[Answer]:
        return [Answer(None, float(reading.features[0]), (), {}) for reading in readings]

    def arousal(self, windows: Sequence[Floats]) -> Floats:
        """Turn windows `(128, 128)` without level into arousal `(B,)`."""
        told = self.engine.run(AROUSAL, windows=np.stack(windows))[AROUSAL]
        if self.line is None:
            return told
        sounding = np.clip(tone_features(windows) @ self.line, -1, 1)
        return np.asarray((1 - self.share) * told + self.share * sounding, np.float32)


class FaceVoiceEstimator(SmoothEstimator):
    """Valence of the face; arousal of the face and, while somebody speaks, of the voice too.

    `share` is what the face counts for arousal where there are both. It is the gate of the answer.
    """

    sees, hears = True, True

    def __init__(
        self, face: ExpressionEstimator, voice: VoiceEstimator, share: float = FACE_SHARE
    ) -> None:
        self.face, self.voice, self.share = face, voice, share
        self.context = face.context

    def silence(self) -> Sound:
        return self.voice.silence()

    def hear(self, sound: Sound, time_s: float) -> Floats | None:
        return self.voice.hear(sound, time_s)

    def listen(self, voices: Sequence[Voice]) -> list[Voice]:
        return self.voice.listen(voices)

    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        seen, heard = self.face.read(moments), self.voice.read(moments)
        return [self._join(*both) for both in zip(seen, heard, strict=True)]

    def _join(self, seen: Reading | None, heard: Reading | None) -> Reading | None:
        """Return features `(12,)`: those of the face and the voice's arousal, not a number where
        one is missing."""
        if seen is None and heard is None:
            return None
        face = np.full(11, np.nan, np.float32) if seen is None else seen.features
        voice = np.full(1, np.nan, np.float32) if heard is None else heard.features
        used = (FACE,) * (seen is not None) + (VOICE,) * (heard is not None)
        gate = self.share if len(used) == 2 else float(used == (FACE,))
        return Reading(np.concatenate([face, voice]), gate, None, used)

    def answer(self, values: Floats, reading: Reading) -> Answer:
        """Answer with what is there now; what is not is only remembered."""
        valence, arousal, *shares, agreement, voice = values.tolist()
        memory = halve({"values": values})
        if VOICE not in reading.used:
            return Answer(valence, arousal, (), memory, tuple(shares), agreement)
        if FACE not in reading.used:
            return Answer(None, voice, (), memory)
        both = self.share * arousal + (1 - self.share) * voice
        return Answer(valence, both, (), memory, tuple(shares), agreement)
