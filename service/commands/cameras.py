"""A camera of this machine into pictures, by OpenCV; always the newest one."""

import asyncio
import importlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from service.commands.batch.sources import Source
from service.commands.clips import Film, Shot
from service.commands.console import CommandError
from service.media.clips.contents import Picture


def is_camera(name: str) -> bool:
    """Whether a name on the command line means a camera: its number, or /dev/video..."""
    return name.isdecimal() or name.startswith("/dev/video")


@asynccontextmanager
async def open_camera(source: Source, seconds: float | None) -> AsyncIterator[Film]:
    """A camera's pictures until `seconds` have passed; raises CommandError where there is none."""
    cv2: Any = importlib.import_module("cv2")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # we say it ourselves
    name = source.path
    camera = cv2.VideoCapture(int(name) if name.isdecimal() else name)
    try:
        if not camera.isOpened():
            raise CommandError(f"there is no camera {name}")
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        yield Film(None, _shots(cv2, camera, seconds))
    finally:
        camera.release()


async def _shots(cv2: Any, camera: Any, seconds: float | None) -> AsyncIterator[Shot]:
    started = time.monotonic()
    number = 0
    while True:
        found, pixels = await asyncio.to_thread(camera.read)
        time_s = time.monotonic() - started
        if not found or (seconds is not None and time_s > seconds):
            return
        height, width = pixels.shape[:2]
        rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).tobytes()
        yield Shot(number, time_s, Picture(width, height, rgb, 1.0))
        number += 1
