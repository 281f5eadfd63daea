"""Footage for the browser: the sample face moving about, and a voice that is none."""

import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

PORTRAIT = Path(__file__).parents[2] / "service" / "commands" / "sample" / "portrait.jpg"
SIZE = (640, 480)
FACE = (224.0, 150.0)  # its middle in the portrait
RATE = 20
CAMERA_FRAMES = 60
CLIP_FRAMES = 60
SOUND_HZ = 48_000


def write_all(folder: Path) -> None:
    """Write `camera.mjpeg`, `voice.wav`, `clip.webm` and `pair.webm`."""
    write_camera(folder / "camera.mjpeg")
    write_voice(folder / "voice.wav", seconds=6.0)
    write_clip(folder / "clip.webm")
    write_clip(folder / "pair.webm", map(paired, frames(CLIP_FRAMES)))


def frames(count: int) -> Iterator[Image]:
    """The portrait (RGB) as a camera sees it whose owner leans and turns; it ends as it began."""
    portrait = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
    for index in range(count):
        phase = 2 * np.pi * index / count
        turn = cv2.getRotationMatrix2D(FACE, 6 * np.sin(phase), 1.5 + 0.1 * np.sin(2 * phase))
        turn[:, 2] += np.array([320 + 40 * np.sin(phase), 200 + 8 * np.cos(phase)]) - FACE
        yield cv2.warpAffine(portrait, turn, SIZE, borderMode=cv2.BORDER_REFLECT)


def paired(frame: Image) -> Image:
    """Show the middle of what the camera sees twice, on the right mirrored and darker."""
    middle = frame[:, SIZE[0] // 4 : -SIZE[0] // 4]
    return np.hstack([middle, middle[:, ::-1] // 3 * 2])


def write_camera(path: Path) -> None:
    """Write pictures one after the other, as a camera of motion JPEG gives them."""
    with path.open("wb") as file:
        for frame in frames(CAMERA_FRAMES):
            _, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
            file.write(data.tobytes())


def voice(seconds: float) -> NDArray[np.int16]:
    """A hum of a few harmonics whose pitch and loudness come and go, mono at `SOUND_HZ`."""
    time = np.arange(round(seconds * SOUND_HZ)) / SOUND_HZ
    phase = 2 * np.pi * (140 * time + 6 * np.sin(2 * np.pi * 0.7 * time))
    hum = sum(np.sin(number * phase) / number for number in range(1, 7))
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 1.3 * time)
    return (hum * loudness * 4000).astype(np.int16)


def write_voice(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_HZ)
        file.writeframes(voice(seconds).tobytes())


def write_clip(path: Path, shown: Iterable[Image] | None = None) -> None:
    """Write a short clip with sound that browsers can play, of `frames` where none are given."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libvpx", rate=RATE)
        picture.width, picture.height, picture.pix_fmt = *SIZE, "yuv420p"
        picture.bit_rate = 1_500_000
        picture.options = {"deadline": "realtime", "cpu-used": "8"}
        sound = container.add_stream("libopus", rate=SOUND_HZ, layout="mono")
        for index, frame in enumerate(shown or frames(CLIP_FRAMES)):
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            made.pts, made.time_base = index, Fraction(1, RATE)
            container.mux(picture.encode(made))
        container.mux(picture.encode(None))
        heard = av.AudioFrame.from_ndarray(voice(CLIP_FRAMES / RATE)[None], layout="mono")
        heard.sample_rate, heard.pts = SOUND_HZ, 0
        container.mux(sound.encode(heard))
        container.mux(sound.encode(None))
