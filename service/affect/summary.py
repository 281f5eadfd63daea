"""The frames of a clip, one after the other, into what is said of the clip as a whole."""

import math

from service.affect.clip_replies import Spread, Summary
from service.affect.replies import REGIONS, AffectFrame


class Moments:
    """Mean, deviation and extent of numbers that are not kept."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0
        self._min, self._max = math.inf, -math.inf

    def add(self, value: float) -> None:
        """Count one number (Welford's sums)."""
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self._squares += step * (value - self.mean)
        self._min, self._max = min(self._min, value), max(self._max, value)

    def spread(self) -> Spread | None:
        """Return what the numbers were like, None without any."""
        if not self.count:
            return None
        std = math.sqrt(self._squares / self.count)
        return Spread(mean=self.mean, std=std, min=self._min, max=self._max)


class Summarizer:
    """Takes frames as they come; a frame lasts until the next one, the last as long as a tick."""

    def __init__(self, rate_hz: float) -> None:
        self._tick_s = 1 / rate_hz
        self._valence, self._arousal, self._gate = Moments(), Moments(), Moments()
        self._seconds = dict.fromkeys(REGIONS, 0.0)
        self._last: AffectFrame | None = None
        self._frames = self._faces = self._voices = 0

    def add(self, frame: AffectFrame) -> None:
        """Count one frame."""
        self._frames += 1
        self._faces += "face" in frame.used
        self._voices += "voice" in frame.used
        for moments, value in (
            (self._valence, frame.valence),
            (self._arousal, frame.arousal),
            (self._gate, frame.gate),
        ):
            if value is not None:
                moments.add(value)
        if self._last is not None:
            self._lasts(self._last, frame.time_s - self._last.time_s)
        self._last = frame

    def summary(self) -> Summary:
        """Return the summary, to be asked for once, after the last frame."""
        if self._last is not None:
            self._lasts(self._last, self._tick_s)
        return Summary(
            valence=self._valence.spread(),
            arousal=self._arousal.spread(),
            seconds=self._seconds,
            share_with_face=self._faces / max(1, self._frames),
            share_with_voice=self._voices / max(1, self._frames),
            gate_mean=self._gate.mean if self._gate.count else None,
        )

    def _lasts(self, frame: AffectFrame, seconds: float) -> None:
        if frame.quadrant is not None:
            self._seconds[frame.quadrant] += seconds
