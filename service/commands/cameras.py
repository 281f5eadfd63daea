"""A camera of this machine through a live session, by OpenCV; always the newest picture."""

import importlib
import io
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from PIL import Image

from service.client import CallError, Countenance, ProblemError
from service.client.wire import TrackLine
from service.clips.replies import ClipInfoBody, ClipLine
from service.commands.batch.files import Source
from service.commands.console import CommandError
from service.commands.films import OverlayVideo
from service.live.messages import ErrorReply
from service.media.clips.contents import Picture
from service.options import TrackKeywords
from service.track.clip import TrackTally
from service.track.replies import TrackFrameLine, TrackReply, TrackSummaryLine

JPEG_QUALITY = 92  # of the pictures that are sent
Shot = tuple[Picture, float]


def is_camera(name: str) -> bool:
    """Tell whether a name on the command line means a camera: its number, or /dev/video..."""
    return name.isdecimal() or name.startswith("/dev/video")


def follow_camera(
    client: Countenance,
    source: Source,
    how: TrackKeywords,
    seconds: float | None,
    video: OverlayVideo | None,
) -> Iterator[TrackLine]:
    """Yield a camera's lines as those of a clip, until `seconds` have passed or Ctrl-C."""
    name = f"camera-{uuid.uuid4().hex}"
    tally = TrackTally()
    clip: ClipInfoBody | None = None
    head: dict[str, Any] = {}
    with _camera(source.path) as shots, client.track_live(name, **how) as session:
        try:
            for number, (picture, time_s) in enumerate(shots(seconds), 1):
                reply = _checked(session.step(_jpeg(picture), time_s))
                if clip is None:
                    clip = _describe(picture)
                    head = {"model": reply.model, "variant": reply.variant, "rate_hz": None}
                    yield ClipLine.model_construct(**dict(clip), **head)
                if video is not None:
                    video.add(picture, time_s, reply.faces)
                tally.add(time_s, reply.faces)
                yield TrackFrameLine.model_construct(
                    frame=number, time_s=time_s, status=reply.status, faces=reply.faces
                )
        finally:
            with suppress(CallError):
                client.end_tracking(name)
    if clip is not None:
        yield TrackSummaryLine.model_construct(
            **dict(tally.summary()), clip=clip, status="ok", notes=[], timings_ms={}
        )


@contextmanager
def _camera(name: str) -> Iterator[Any]:
    """Open a camera; raises CommandError where there is none."""
    cv2: Any = importlib.import_module("cv2")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # we say it ourselves
    camera = cv2.VideoCapture(int(name) if name.isdecimal() else name)
    try:
        if not camera.isOpened():
            raise CommandError(f"there is no camera {name}")
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        yield lambda seconds: _shots(cv2, camera, seconds)
    finally:
        camera.release()


def _shots(cv2: Any, camera: Any, seconds: float | None) -> Iterator[Shot]:
    """Yield pictures with their times; Ctrl-C ends them well and not by force."""
    stopped: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    started = time.monotonic()
    try:
        while not stopped:
            found, pixels = camera.read()
            time_s = time.monotonic() - started
            if not found or (seconds is not None and time_s > seconds):
                return
            height, width = pixels.shape[:2]
            rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).tobytes()
            yield Picture(width, height, rgb, 1.0), time_s
    finally:
        signal.signal(signal.SIGINT, before)


def _checked(reply: Any) -> TrackReply:
    """Return the reply to a picture; raises ProblemError for one that could not be looked at."""
    if isinstance(reply, TrackReply):
        return reply
    if isinstance(reply, ErrorReply):
        told = reply.error
        raise ProblemError(told.type, told.title, told.status, told.detail)
    raise RuntimeError(f"a frame of a camera was answered {reply!r}")


def _describe(picture: Picture) -> ClipInfoBody:
    """Return what is told of a camera in place of a clip."""
    nothing = ("duration_s", "decoded_frames", "expected_frames", "used_frames", "sound")
    return ClipInfoBody.model_construct(
        format="camera",
        width=picture.width,
        height=picture.height,
        rotation_deg=0,
        complete=True,
        **dict.fromkeys(nothing),
    )


def _jpeg(picture: Picture) -> bytes:
    data = io.BytesIO()
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    image.save(data, "JPEG", quality=JPEG_QUALITY)
    return data.getvalue()
