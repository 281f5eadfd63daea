"""The pictures of a clip on this machine, and clips with what was found drawn on them."""

import asyncio
import importlib
import math
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Self

from service.client.wire import TrackLine
from service.commands.files import STDIN, Source
from service.media.clips.contents import ClipFrame, ClipLimits, Picture, Sampling
from service.media.clips.decoding import FileReader
from service.media.clips.process import open_clip
from service.schemas import TrackedFace
from service.track.replies import TrackFrameLine

# A file of one's own may be long; it still cannot fill the memory.
LIMITS = ClipLimits(
    duration_s=24 * 3600.0,
    pixels=8192 * 4320,
    frames=10_000_000,
    memory_bytes=3 * 2**30,
    cpu_s=1_000_000,
    stall_s=120.0,
)
EVERY_FRAME = Sampling(math.inf, 3840)
CLOCK = Fraction(1, 90_000)  # a common multiple of what cameras count in
DEFAULT_RATE = 25  # declared only; frames have their own times
SHARPNESS = "20"  # x264's constant rate factor
SOUND_CODEC = "aac"


@contextmanager
def open_file(source: Source) -> Iterator[BinaryIO]:
    """Open a source so that it can be read from any place; stdin becomes a file without a name."""
    if source.path != STDIN:
        with open(source.path, "rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as spooled:
        shutil.copyfileobj(sys.stdin.buffer, spooled)
        spooled.flush()
        spooled.seek(0)
        yield spooled


class Film:
    """The frames of a clip, each asked for by its number in the file, in rising order."""

    def __init__(self, file: BinaryIO, sampling: Sampling) -> None:
        self._file, self._sampling = file, sampling
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._frames: AsyncIterator[ClipFrame] | None = None

    def close(self) -> None:
        """Stop reading."""
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def frames(self, before: int | None = None) -> Iterator[ClipFrame]:
        """Yield the frames up to number `before`, from 1, or all that are left."""
        while (frame := self._next()) is not None:
            yield frame
            if before is not None and frame.number is not None and frame.number + 1 >= before:
                return

    def _next(self) -> ClipFrame | None:
        return self._runner.run(self._read())

    async def _read(self) -> ClipFrame | None:
        if self._frames is None:
            self._frames = self._open()
        return await anext(self._frames, None)

    async def _open(self) -> AsyncIterator[ClipFrame]:
        clip = await self._stack.enter_async_context(open_clip(self._file, LIMITS, self._sampling))
        async for chunk in clip:
            for frame in chunk.frames:
                yield frame


class OverlayVideo:
    """Writes frames as they come into an MP4 file, which is complete once the block has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container: Any = None
        self._stream: Any = None
        self._sound: SoundTrack | None = None
        self._av: Any = importlib.import_module("av")
        self._numpy: Any = importlib.import_module("numpy")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._container is not None:
            if kind is None:
                # Encoders hold frames back until they hear that no more will come.
                self._container.mux(self._stream.encode(None))
                if self._sound is not None:
                    self._sound.finish()
            self._container.close()

    def draw(self, lines: Iterator[TrackLine], file: BinaryIO) -> Iterator[TrackLine]:
        """Pass the lines of a clip in an open file on, drawing each frame on its picture."""
        film = Film(file, EVERY_FRAME)
        self._sound = SoundTrack(file)
        try:
            for line in lines:
                if isinstance(line, TrackFrameLine):
                    for frame in film.frames(line.frame):
                        faces = line.faces if frame.number == (line.frame or 0) - 1 else []
                        if frame.picture is not None:
                            self.add(frame.picture, frame.time_s, faces)
                yield line
        finally:
            film.close()

    def add(self, picture: Picture, time_s: float, faces: Sequence[TrackedFace]) -> None:
        """Draw one more frame and write it at its own time."""
        shape = (picture.height, picture.width, 3)
        pixels = self._numpy.frombuffer(picture.rgb, self._numpy.uint8).reshape(shape)
        drawn = self._draw(pixels, picture.scale, faces)
        if self._container is None:
            self._open(picture.width, picture.height)
        frame = self._av.VideoFrame.from_ndarray(drawn, format="rgb24")
        # Its own time: a camera or a clip of a variable rate is not made even.
        frame.time_base, frame.pts = CLOCK, round(time_s / CLOCK)
        self._container.mux(self._stream.encode(frame))
        if self._sound is not None:
            self._sound.write_until(time_s)

    def _open(self, width: int, height: int) -> None:
        self._container = self._av.open(str(self._path), "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=DEFAULT_RATE)
        self._stream.width, self._stream.height = width, height
        # Colour in halves needs even sides, and is what every player shows.
        self._stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        self._stream.codec_context.time_base = CLOCK
        self._stream.options = {"crf": SHARPNESS, "preset": "veryfast"}
        if self._sound is not None:
            self._sound.open(self._container)

    def _draw(self, pixels: Any, scale: float, faces: Sequence[TrackedFace]) -> Any:
        from handlers.processing.drawing import DrawnFace, draw_faces
        from handlers.processing.pose import HeadPose

        drawn = []
        for face in faces:
            if face.landmarks is None:
                continue
            # Centres of pixels are whole numbers, so that what scales is half a pixel before them.
            points = (self._numpy.asarray(face.landmarks, "float32") + 0.5) * scale - 0.5
            box = (self._numpy.asarray(face.box, "float32") + 0.5) * scale - 0.5
            pose = None if face.pose is None else HeadPose(**face.pose.model_dump())
            drawn.append(DrawnFace(box, points, pose, f"{face.track_id} {face.status}"))
        return draw_faces(pixels, drawn)


class SoundTrack:
    """The main sound track of a clip into another file, at its own times; nothing without one."""

    def __init__(self, file: BinaryIO) -> None:
        self._av: Any = importlib.import_module("av")
        self._file = file
        self._frames: Iterator[Any] = iter(())
        self._stream: Any = None
        self._written_s = 0.0

    def open(self, target: Any) -> None:
        """Give the file `target` a sound track where the clip has one that can be decoded."""
        self._target = target
        with suppress(self._av.FFmpegError):
            source = self._av.open(FileReader(self._file.fileno()))
            track = source.streams.best("audio")
            if track is None or track.codec_context is None:
                return
            # Time zero is where the first of all streams begins, as the service has it.
            start_s = min(
                float(stream.start_time * stream.time_base)
                for stream in source.streams
                if stream.start_time is not None and stream.time_base is not None
            )
            self._start_s = start_s
            self._frames = source.decode(track)
            self._stream = target.add_stream(SOUND_CODEC, rate=track.rate)

    def write_until(self, time_s: float) -> None:
        """Write what is heard up to a time."""
        with suppress(self._av.FFmpegError):
            while self._written_s <= time_s and (frame := next(self._frames, None)) is not None:
                if frame.time is not None:
                    self._written_s = frame.time - self._start_s
                    frame.pts = round(self._written_s / frame.time_base)
                self._target.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write the rest."""
        self.write_until(float("inf"))
        if self._stream is not None:
            with suppress(self._av.FFmpegError):
                self._target.mux(self._stream.encode(None))
