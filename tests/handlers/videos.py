"""Videos written for tests."""

from collections.abc import Iterable
from pathlib import Path

import cv2

from handlers.processing.arrays import Image


def write_video(
    path: Path, frames: Iterable[Image], rate_hz: float = 25.0, codec: str = "MJPG"
) -> None:
    """Write frames `(H, W, 3)` in the order of OpenCV's colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    for frame in frames:
        size = (frame.shape[1], frame.shape[0])
        writer = writer or cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate_hz, size)
        writer.write(frame)
    assert writer is not None
    writer.release()
