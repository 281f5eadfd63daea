"""Small clips made on the spot by PyAV, with pictures, sound, or both."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from service.commands.doctor import PORTRAIT

CLOCK = Fraction(1, 90_000)


def portrait(width: int = 320, height: int = 240, shift: int = 0) -> np.ndarray:
    """The sample portrait cut to `(height, width, 3)`, moved to the left by `shift` pixels."""
    with Image.open(PORTRAIT) as picture:
        small = picture.convert("RGB").resize((width + 40, width + 40))
    return np.asarray(small)[:height, shift : shift + width].copy()


def make_clip(
    path: Path,
    times_s: Sequence[float],
    width: int = 320,
    height: int = 240,
    sound_s: float = 0.0,
    pcm: np.ndarray | None = None,
) -> Path:
    """A clip with a face that moves, a picture at each time, and a tone of so many seconds, or
    sound of int16 at 22 050 Hz."""
    if pcm is None and sound_s:
        moments = np.arange(int(sound_s * 22_050)) / 22_050
        pcm = (np.sin(2 * np.pi * 220 * moments) * 8000).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        stream.codec_context.time_base = CLOCK
        stream.options = {"preset": "ultrafast", "crf": "18"}
        voice = container.add_stream("aac", rate=22_050) if pcm is not None else None
        for number, time_s in enumerate(times_s):
            pixels = portrait(width, height, shift=number % 40)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.time_base, frame.pts = CLOCK, round(time_s / CLOCK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None and pcm is not None:
            _add_sound(container, voice, pcm[None])
    return path


def _add_sound(container: av.container.OutputContainer, stream: object, wave: np.ndarray) -> None:
    for start in range(0, wave.shape[1], 1024):
        piece = np.ascontiguousarray(wave[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 22_050, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def read_times(path: Path) -> tuple[list[float], tuple[int, int]]:
    """The times of a clip's pictures in seconds, and its width and height."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.time for frame in container.decode(stream)], (stream.width, stream.height)
