"""Clips with what was found drawn on them: same size, times and sound, H.264 in MP4."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Self

from service.client.replies import TrackLine
from service.commands.films import EVERY_FRAME, Film
from service.media.clips.contents import Picture
from service.media.clips.decoding import FileReader
from service.schemas import TrackedFace
from service.track.clip_replies import TrackFrameLine

CLOCK = Fraction(1, 90_000)  # a common multiple of what cameras count in
DEFAULT_RATE = 25
SHARPNESS = "20"  # x264's constant rate factor
SOUND_CODEC = "aac"


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
