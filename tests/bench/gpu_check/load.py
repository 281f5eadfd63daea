"""Rows of live sessions to measure with: a face in a frame of 640 x 480 pixels."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import cv2
import numpy as np

from handlers.base import Handler
from handlers.torchserve.models import FACE, face_row
from handlers.wire import pack, unpack

FRAME_PX = (480, 640)
FACE_PX = 200


def frame() -> bytes:
    """A JPEG of 640 x 480 pixels with a face in its middle."""
    height, width = FRAME_PX
    picture = np.full((height, width, 3), 128, np.uint8)
    read = np.asarray(cv2.imread(str(FACE)), np.uint8)
    face = cv2.resize(read, (FACE_PX, FACE_PX), interpolation=cv2.INTER_LINEAR)
    top, left = (height - FACE_PX) // 2, (width - FACE_PX) // 2
    picture[top : top + FACE_PX, left : left + FACE_PX] = face
    return bytes(cv2.imencode(".jpg", picture)[1])


class Sessions:
    """So many sessions of a model that step together."""

    def __init__(self, handler: Handler[Any], model: str, count: int) -> None:
        self._handler, self._model, self._frame = handler, model, frame()
        self._states: list[bytes | None] = [None] * count
        self._step = 0

    def step(self) -> None:
        """One batch; raises RuntimeError where a row of it is refused."""
        rows = [self._row(state) for state in self._states]
        replies = [unpack(reply) for reply in self._handler.handle(rows)]
        if errors := [reply["error"] for reply in replies if "error" in reply]:
            raise RuntimeError(f"a row is refused: {errors[0]}")
        self._states = [reply.get("state") for reply in replies]
        self._step += 1

    def time(self, seconds: float, least: int = 3) -> dict[str, Any]:
        """Step for so long; returns the median step in milliseconds and rows a second."""
        self.step()  # it searches for the face, which later ones do not
        taken: list[float] = []
        began = time.perf_counter()
        while len(taken) < least or time.perf_counter() - began < seconds:
            started = time.perf_counter()
            self.step()
            taken.append(time.perf_counter() - started)
        rows = len(self._states) * len(taken)
        return {
            "median_ms": round(median(taken) * 1000, 2),
            "rows_per_second": round(rows / sum(taken), 1),
            "steps": len(taken),
        }

    def _row(self, state: bytes | None) -> bytes:
        row = unpack(face_row(self._model, self._step, state))
        inputs = row["inputs"]
        if "frames" in inputs:
            inputs["frames"] = [self._frame]
        else:
            inputs["image"] = self._frame
        return pack(row)


def time_batches(
    handler: Handler[Any], model: str, batches: Sequence[int], seconds: float
) -> dict[str, Any]:
    """The bare steps of batches of each size."""
    return {str(rows): Sessions(handler, model, rows).time(seconds) for rows in batches}
