"""Small clips of any kind, made on the spot: every frame's grey tells its number."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

# Codecs of pictures and sound for each kind of file, and the sound's rate in Hz.
CODECS: dict[str, tuple[str | None, str, int]] = {
    "mp4": ("libx264", "aac", 44_100),
    "mov": ("libx264", "aac", 44_100),
    "mkv": ("libx264", "flac", 32_000),
    "webm": ("libvpx", "libopus", 48_000),
    "avi": ("mjpeg", "pcm_s16le", 44_100),
    "flv": ("flv", "libmp3lame", 44_100),
    "mpg": ("mpeg1video", "mp2", 44_100),
    "wav": (None, "pcm_s16le", 16_000),
    "mp3": (None, "libmp3lame", 44_100),
    "ogg": (None, "libopus", 48_000),
    "flac": (None, "flac", 22_050),
    "m4a": (None, "aac", 44_100),
}
FORMATS = {"m4a": "ipod"}
FAST = {
    "libx264": {"preset": "ultrafast", "crf": "12"},
    "libvpx": {"deadline": "realtime", "b": "2M", "qmax": "20"},
}
FIRST_GREY, GREY_STEP = 40, 4
CLICK_S = 0.5


def grey_of(number: int) -> int:
    """The grey of a frame by its number; they repeat after 40."""
    return FIRST_GREY + GREY_STEP * (number % 40)


def tone(seconds: float, rate_hz: int) -> np.ndarray:
    """A quiet tone of 440 Hz with a loud burst of 10 ms that begins at 0.5 s: float32 `(N,)`."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    burst = (times >= CLICK_S) & (times < CLICK_S + 0.01)
    return (np.where(burst, 0.9, 0.1) * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def write_clip(
    path: Path,
    frames: int = 25,
    rate: int = 25,
    size: tuple[int, int] = (64, 48),
    sound_s: float | None = 1.0,
    times: list[int] | None = None,
    turn: tuple[int, ...] | None = None,
    options: dict[str, str] | None = None,
    sounds: int = 1,
    draw: Callable[[int, tuple[int, int]], np.ndarray] | None = None,
) -> Path:
    """Write a clip whose kind is the path's suffix; `times` are frames' times in milliseconds.

    A frame is what `draw` makes of its number and the size, by default `drawn`.
    """
    draw = draw or drawn
    kind = path.suffix[1:]
    picture_codec, sound_codec, rate_hz = CODECS[kind]
    with av.open(str(path), "w", format=FORMATS.get(kind), options=options or {}) as container:
        if picture_codec and frames:
            pictures: Any = container.add_stream(
                picture_codec, rate=rate, options=FAST.get(picture_codec, {})
            )
            pictures.width, pictures.height = size
            pictures.pix_fmt = "yuvj420p" if picture_codec == "mjpeg" else "yuv420p"
            pictures.codec_context.gop_size = 10
            if times:
                pictures.codec_context.time_base = Fraction(1, 1000)
            if turn:
                pictures.set_display_matrix(turn)
        if sound_s:
            tracks = [
                container.add_stream(sound_codec, rate=rate_hz, layout="mono")
                for _ in range(sounds)
            ]
        if picture_codec and frames:
            unit = Fraction(1, 1000) if times else Fraction(1, rate)
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(draw(number, size), format="rgb24")
                frame.pts, frame.time_base = times[number] if times else number, unit
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
        if sound_s:
            for track in tracks:
                write_sound(container, track, tone(sound_s, rate_hz), rate_hz)
    return path


def write_repeated(path: Path, frames: int, size: tuple[int, int]) -> Path:
    """Write one large frame again and again: little work here, much where it is read."""
    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream("mjpeg", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = *size, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(drawn(0, size), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        (packet,) = pictures.encode(frame)
        for number in range(frames):
            copy = av.Packet(bytes(packet))
            copy.stream, copy.time_base = pictures, Fraction(1, 25)
            copy.pts = copy.dts = number
            container.mux(copy)
    return path


def drawn(number: int, size: tuple[int, int]) -> np.ndarray:
    """A frame of its grey, its top left quarter red: uint8 RGB `(H, W, 3)`."""
    width, height = size
    picture = np.full((height, width, 3), grey_of(number), np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    return picture


def write_sound(container: Any, track: Any, samples: np.ndarray, rate_hz: int) -> None:
    """Encode samples as the track's own format and layout."""
    to_track = av.AudioResampler(track.format, track.layout, rate_hz, track.frame_size or 1024)
    for at in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, at : at + 1024], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, at, Fraction(1, rate_hz)
        for part in to_track.resample(frame):
            container.mux(track.encode(part))
    for part in to_track.resample(None):
        container.mux(track.encode(part))
    container.mux(track.encode(None))


def pixels(picture: Any) -> np.ndarray:
    """The picture of a clip's frame as an array `(H, W, 3)`."""
    return np.frombuffer(picture.rgb, np.uint8).reshape(picture.height, picture.width, 3)


def numbers(frames: list[Any]) -> list[int]:
    """The numbers (up to 40) that frames tell by the grey of their bottom right quarter."""
    greys = [pixels(frame.picture)[-9:, -9:].mean() for frame in frames]
    return [round((float(grey) - FIRST_GREY) / GREY_STEP) for grey in greys]
