"""Clips with what was found drawn on them: same size, same times, H.264 in MP4."""

import importlib
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from service.commands.followers import Seen

CLOCK = Fraction(1, 90_000)  # a common multiple of what cameras count in
DEFAULT_RATE = 25
SHARPNESS = "20"  # x264's constant rate factor


class OverlayVideo:
    """Writes frames as they come into an MP4 file, which is complete once the block has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container: Any = None
        self._stream: Any = None
        self._av: Any = importlib.import_module("av")
        self._numpy: Any = importlib.import_module("numpy")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._container is not None:
            if kind is None:
                self._container.mux(self._stream.encode(None))
            self._container.close()

    def add(self, seen: Seen) -> None:
        """Draw one more frame and write it at its own time."""
        picture = seen.shot.picture
        shape = (picture.height, picture.width, 3)
        pixels = self._numpy.frombuffer(picture.rgb, self._numpy.uint8).reshape(shape)
        drawn = self._draw(pixels, seen)
        if self._container is None:
            self._open(picture.width, picture.height)
        frame = self._av.VideoFrame.from_ndarray(drawn, format="rgb24")
        frame.time_base, frame.pts = CLOCK, round(seen.shot.time_s / CLOCK)
        self._container.mux(self._stream.encode(frame))

    def _open(self, width: int, height: int) -> None:
        self._container = self._av.open(str(self._path), "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=DEFAULT_RATE)
        self._stream.width, self._stream.height = width, height
        # Colour in halves needs even sides, and is what every player shows.
        self._stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        self._stream.codec_context.time_base = CLOCK
        self._stream.options = {"crf": SHARPNESS, "preset": "veryfast"}

    def _draw(self, pixels: Any, seen: Seen) -> Any:
        from handlers.processing.drawing import DrawnFace, draw_faces
        from handlers.processing.pose import HeadPose

        scale = seen.shot.picture.scale
        faces = []
        for face in seen.outputs.faces:
            if face.landmarks is None:
                continue
            points = (self._numpy.asarray(face.landmarks, "float32") + 0.5) * scale - 0.5
            box = (self._numpy.asarray(face.box, "float32") + 0.5) * scale - 0.5
            pose = None if face.pose is None else HeadPose(**face.pose.model_dump())
            faces.append(DrawnFace(box, points, pose, f"{face.track_id} {face.status}"))
        return draw_faces(pixels, faces)
