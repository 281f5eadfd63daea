"""Blinks of the faces of a clip, out of their facial actions frame by frame."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from pydantic import Field

from service.schemas import Body, Seconds, TrackedFace

LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
USUAL_S = 3.0  # what a face's lids are usually like is their median over so long
CLOSING, OPENING = 0.22, 0.12  # how far lids rise above the usual where a blink begins, and ends
LONGEST_S = 0.8  # eyes that stay shut for longer do not blink


class Blink(Body):
    """The lids of one face, closed for a moment."""

    track_id: int = Field(description="Number of the face.")
    start_s: Seconds = Field(description="Time of the first frame with the lids closing.")
    end_s: Seconds = Field(description="Time of the first frame with the lids open again.")


@dataclass
class _Lids:
    """What is remembered of a face: times and values, and since when its lids are closed."""

    seen: deque[tuple[float, float]] = field(default_factory=deque)
    closed_s: float | None = None

    def usual(self, time_s: float) -> float | None:
        """The median of the last seconds, None at the beginning."""
        while self.seen and self.seen[0][0] < time_s - USUAL_S:
            self.seen.popleft()
        return median(value for _, value in self.seen) if self.seen else None


class Blinks:
    """Watches the lids of every face; holds a few seconds of each."""

    def __init__(self) -> None:
        self.found: list[Blink] = []
        self._lids: dict[int, _Lids] = {}

    def note(self, time_s: float, faces: Sequence[TrackedFace]) -> None:
        """Look at the faces of the next frame; one that is gone or lost is forgotten."""
        shown = {face.track_id: face.actions for face in faces if face.actions is not None}
        self._lids = {track_id: self._lids.get(track_id, _Lids()) for track_id in shown}
        for track_id, actions in shown.items():
            closed = sum(actions[name] for name in LIDS) / len(LIDS)
            self._step(track_id, self._lids[track_id], time_s, closed)

    def _step(self, track_id: int, lids: _Lids, time_s: float, closed: float) -> None:
        usual = lids.usual(time_s)
        lids.seen.append((time_s, closed))
        if usual is None:
            return
        if lids.closed_s is None and closed - usual >= CLOSING:
            lids.closed_s = time_s
        elif lids.closed_s is not None and closed - usual < OPENING:
            if time_s - lids.closed_s <= LONGEST_S:
                blink = Blink(track_id=track_id, start_s=lids.closed_s, end_s=time_s)
                self.found.append(blink)
            lids.closed_s = None
