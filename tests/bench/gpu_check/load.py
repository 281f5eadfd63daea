"""Rows of live sessions to measure with: a face in a frame of 640 x 480 pixels."""

import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import cv2
import numpy as np
from torch.profiler import ProfilerActivity, profile

from handlers.base import Handler
from handlers.torchserve.models import FACE, face_row
from handlers.wire import pack, unpack

FRAME_PX = (480, 640)
FACE_PX = 200
# As torch's profiler names what the driver is asked for.
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
PROFILED_STEPS = 5


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


def profile_steps(handler: Handler[Any], model: str, rows: int, on_gpu: bool) -> dict[str, Any]:
    """Return a step's copies, launches and waits, each a count, and the share of time computing."""
    sessions = Sessions(handler, model, rows)
    for _ in range(3):
        sessions.step()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    began = time.perf_counter()
    with profile(activities=kinds) as profiler:
        for _ in range(PROFILED_STEPS):
            sessions.step()
    wall_us = (time.perf_counter() - began) * 1e6
    events = {one.key: one for one in profiler.key_averages()}
    busy_us = sum(one.self_device_time_total for one in events.values())

    def each(names: Iterator[str]) -> float:
        return round(sum(int(events[name].count) for name in names) / PROFILED_STEPS, 1)

    return {
        "copies_there": each(name for name in events if name.startswith("Memcpy HtoD")),
        "copies_back": each(name for name in events if name.startswith("Memcpy DtoH")),
        "launches": each(name for name in LAUNCHES if name in events),
        "waits": each(name for name in WAITS if name in events),
        "operations": each(name for name in events if name.startswith("aten::")),
        "device_ms": round(busy_us / 1000 / PROFILED_STEPS, 2),
        "gpu_load": round(busy_us / wall_us, 3),
    }
