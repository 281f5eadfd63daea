"""A clip read whole, by the process that reads clips."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.media.clips.contents import (
    RATE_HZ,
    ClipFrame,
    ClipInfo,
    ClipLimits,
    ClipTotals,
    Sampling,
)
from service.media.clips.process import open_clip
from service.media.clips.reading import NO_END
from tests.waiting import MOST_S

LIMITS = ClipLimits(stall_s=MOST_S)


@dataclass
class Found:
    """All of a clip: moments, sound as one, and its beginning in samples."""

    info: ClipInfo
    frames: list[ClipFrame]
    sound: np.ndarray
    start: int
    totals: ClipTotals


async def read(path: Path, sampling: Sampling | None = None) -> Found:
    frames, pieces, starts, ends = [], [], [], []
    with path.open("rb") as file:
        async with open_clip(file, LIMITS, sampling or Sampling()) as clip:
            async for chunk in clip:
                assert 1 <= len(chunk.frames) <= 8
                frames.extend(chunk.frames)
                if chunk.sound:
                    starts.append(chunk.sound.start)
                    ends.append(chunk.sound.end)
                    pieces.append(np.frombuffer(chunk.sound.pcm, np.int16))
                    assert chunk.sound.end <= round((frames[-1].time_s + 1.55) * RATE_HZ)
    assert starts[1:] == ends[:-1], "sound goes on where the last chunk's ended"
    sound = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    assert clip.totals is not None
    return Found(clip.info, frames, sound, starts[0] if starts else 0, clip.totals)


def burst_s(found: Found) -> float:
    """When the loud burst of the sound begins, in seconds of the clip."""
    loud = np.flatnonzero(np.abs(found.sound.astype(np.int32)) > 10_000)
    return float(found.start + loud[0]) / RATE_HZ


def notes(found: Found) -> list[str]:
    """What is told of a clip, but that it may be longer than it is."""
    return [note for note in found.totals.notes if note != NO_END]
