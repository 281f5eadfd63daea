"""`countenance track`: faces followed through clips or a camera's pictures."""

import importlib
import io
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from service.client import CallError, Countenance, ProblemError
from service.client.wire import TrackLine
from service.clips.replies import ClipInfoBody, ClipLine
from service.commands.console import CommandError
from service.commands.files import (
    CLIPS,
    Emit,
    Plan,
    Source,
    draft_of,
    find_sources,
    is_photo,
    left_out,
    plan_with,
    writing,
)
from service.commands.films import OverlayVideo, open_file
from service.commands.forms import TRACK_FORMS, write_down
from service.commands.options import (
    Results,
    Where,
    ask_lines,
    command,
    result_option,
)
from service.commands.running import Job, SourceBatch, Tick, emit
from service.errors import Problem, ServiceError
from service.live.messages import ErrorReply
from service.media.clips.contents import Picture
from service.options import TrackKeywords
from service.track.clip import TrackTally
from service.track.replies import TrackFrameLine, TrackReply, TrackSummaryLine

DRAWN = ".mp4"
VIDEOS = frozenset({".mp4", ".m4v", ".mov"})
JPEG_QUALITY = 92  # of the pictures that are sent
Shot = tuple[Picture, float]


@dataclass(frozen=True)
class TrackJob(Job):
    """Clips or a camera into texts of the form `form`, and the files that they fill."""

    how: TrackKeywords
    form: str
    plan: Plan
    seconds: float | None = None

    def work(self, client: Countenance, source: Source, emit: Emit, tick: Tick) -> None:
        """Follow a clip's faces to its end, writing each frame down as it is answered."""
        form = TRACK_FORMS[self.form](source.path)
        text, drawing = self.plan.path(source, f".{self.form}"), self.plan.path(source, DRAWN)
        with ExitStack() as stack:
            write = stack.enter_context(writing(text, form.header, emit))
            video = None if drawing is None else stack.enter_context(_drawing(drawing))
            if source.is_camera:
                lines = follow_camera(client, source, self.how, self.seconds, video)
            else:
                _check_clip(source)
                file = stack.enter_context(open_file(source))
                lines = ask_lines(lambda: client.track_lines(file, **self.how))
                lines = lines if video is None else video.draw(lines, file)
            write_down(lines, form, write, tick)


def _check_clip(source: Source) -> None:
    """Refuse a photograph with the commands that take it; raises ServiceError."""
    if is_photo(source):
        raise ServiceError(
            Problem.NOT_A_CLIP,
            "a photograph: use `countenance align` or `countenance affect`",
        )


@contextmanager
def _drawing(path: Path) -> Iterator[OverlayVideo]:
    """Return what draws frames into the clip's video."""
    if find_spec("cv2") is None:
        raise CommandError(
            "drawing needs pip install 'countenance[models]', even where a service elsewhere "
            "follows the faces"
        )
    with draft_of(path) as draft, OverlayVideo(draft) as video:
        yield video


@command
def track(
    clips: Annotated[
        list[str],
        typer.Argument(help="Clips, folders of them, - for stdin, or a camera's number."),
    ],
    *,
    as_csv: Annotated[
        bool,
        result_option("--csv", help="One row a face and frame, with OpenFace's column names."),
    ] = False,
    as_json: Annotated[bool, result_option("--json", help="One JSON object a frame.")] = False,
    results: Results,
    overlay: Annotated[
        Path | None,
        result_option(help="The clip with the faces drawn on it, as .mp4; a folder for several."),
    ] = None,
    how: TrackKeywords,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long to look through a camera; else Ctrl-C.")
    ] = None,
    where: Where,
) -> None:
    """Follow faces and their 68 landmarks through clips, in pixels of the upright frame."""
    form = results.form(json=as_json, csv=as_csv)
    sources = find_clips(clips)
    plan = plan_with(sources, {f".{form}": results.out}, DRAWN, overlay, VIDEOS)
    if results.are_printed:
        emit(TRACK_FORMS[form].header)
    live = any(source.is_camera for source in sources)
    # A camera is never done, and a table on stdout is to be whole.
    again = results.again or live or (results.are_printed and form != "text")
    SourceBatch(
        *("clips", sources, plan, results.are_printed, 1 if live else results.jobs, again),
        unit="frames",
        left_out=left_out(clips, CLIPS),
    ).run(TrackJob(where, how, form, plan, seconds))


def find_clips(names: list[str]) -> list[Source]:
    """Return what the names mean; raises CommandError. A camera goes alone."""
    cameras = [name for name in names if is_camera(name) and not Path(name).is_file()]
    if not cameras:
        return find_sources(names, CLIPS, "clip")
    if len(names) > 1:
        raise CommandError(f"the camera {cameras[0]} goes alone, without other clips")
    return [Source(cameras[0], f"camera-{Path(cameras[0]).name}", is_camera=True)]


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
    # At a service elsewhere another camera may be followed by the same key.
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
            # Else the service would keep the state until its time runs out.
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
        # Else pictures wait in the driver, and those that are looked at are old.
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
            # OpenCV has blue first.
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
