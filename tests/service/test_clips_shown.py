"""Pictures of clips as they are shown: square pixels, ordinary range, whole frames."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.service.clip_files import pixels
from tests.service.clip_reading import read

PQ, HLG, BT2020 = 16, 18, 9


def write_pictures(path: Path, frames: list[av.VideoFrame], codec: str, **how: Any) -> Path:
    """Write decoded frames of one kind."""
    with av.open(str(path), "w") as container:
        options = how.pop("options", {})
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = frames[0].width, frames[0].height
        stream.pix_fmt = frames[0].format.name
        for name, value in how.items():
            setattr(stream.codec_context, name, value)
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def disc(width: int, height: int, wide: float) -> np.ndarray:
    """A white disc on grey that is round where pixels are `wide` as wide as high."""
    y, x = np.mgrid[:height, :width]
    inside = np.hypot((x - width / 2) * wide, y - height / 2) < height / 4
    return np.where(inside[..., None], 235, 60).astype(np.uint8).repeat(3, axis=2)


@pytest.mark.parametrize(
    ("aspect", "size", "shown"),
    [
        (Fraction(4, 3), (144, 108), (192, 108)),
        (Fraction(8, 9), (180, 120), (160, 120)),
        (Fraction(64, 45), (180, 144), (256, 144)),
    ],
)
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
async def test_pixels_that_are_not_square_are_made_so(
    kind: str, aspect: Fraction, size: tuple[int, int], shown: tuple[int, int], tmp_path: Path
) -> None:
    frame = av.VideoFrame.from_ndarray(disc(*size, float(aspect)), format="rgb24")
    path = write_pictures(
        tmp_path / f"a.{kind}", [frame.reformat(format="yuv420p")] * 2, "libx264",
        sample_aspect_ratio=aspect,
    )  # fmt: skip
    found = await read(path)
    assert (found.info.width, found.info.height) == shown
    picture = pixels(found.frames[0].picture)
    assert picture.shape == (shown[1], shown[0], 3)
    inside = picture[..., 0] > 150
    assert inside.any(0).sum() == pytest.approx(inside.any(1).sum(), abs=2)
    assert any("as wide as high" in note for note in found.totals.notes)


def light_of(grey: np.ndarray) -> np.ndarray:
    """Light of sRGB's codes, white at 203 cd/m2."""
    code = grey / 255
    return 203 * np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def coded(light: np.ndarray, transfer: int) -> np.ndarray:
    """Codes in [0, 1] of light in cd/m2 (SMPTE ST 2084; ITU-R BT.2100)."""
    if transfer == PQ:
        power = (light / 10_000) ** (1305 / 8192)
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** (2523 / 32)
    scene = (light / 1000) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


@pytest.mark.parametrize("transfer", [PQ, HLG])
async def test_high_dynamic_range_looks_as_ordinary_pictures_do(
    transfer: int, tmp_path: Path
) -> None:
    grey = np.repeat(np.linspace(10, 190, 19).round(), 16)[None].repeat(64, axis=0)
    codes = np.rint(coded(light_of(grey), transfer) * 876 + 64).astype("<u2")
    frame = av.VideoFrame(codes.shape[1], codes.shape[0], "yuv420p10le")
    for plane, values in zip(
        frame.planes, (codes, np.full((32, 152), 512), np.full((32, 152), 512)), strict=True
    ):
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        rows[:, : values.shape[1]] = values
        plane.update(rows.tobytes())
    path = write_pictures(
        tmp_path / "a.mkv", [frame], "ffv1",
        color_trc=transfer, color_primaries=BT2020, colorspace=BT2020,
    )  # fmt: skip
    found = await read(path)
    shown = pixels(found.frames[0].picture).mean((0, 2))[8::16]
    assert np.abs(shown - grey[0, 8::16]).max() < 8
    assert np.abs(shown - grey[0, 8::16]).mean() < 3
    assert any("high dynamic range" in note for note in found.totals.notes)


async def test_interlaced_pictures_have_no_combs(tmp_path: Path) -> None:
    frames = []
    for number in range(10):
        picture = np.full((96, 128, 3), 50, np.uint8)
        for parity in (0, 1):
            left = 10 + 8 * (2 * number + parity) % 100
            picture[parity::2, left : left + 20] = 220
        frames.append(
            av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        )
    path = write_pictures(
        tmp_path / "a.mpg", frames, "mpeg2video", options={"flags": "+ildct+ilme", "top": "1"}
    )
    found = await read(path)
    picture = pixels(found.frames[4].picture)[..., 0].astype(int)
    combs = np.abs(picture[1:-1] - (picture[:-2] + picture[2:]) / 2)
    assert combs.mean() < 3
    assert len(found.frames) == 10
    assert any("interlaced" in note for note in found.totals.notes)


KINDS = {
    "10 bits": ("libx264", "yuv420p10le", "mp4"),
    "4:4:4": ("libx264", "yuv444p", "mkv"),
    "alpha": ("qtrle", "argb", "mov"),
    "grey": ("ffv1", "gray", "mkv"),
    "full range": ("mjpeg", "yuvj420p", "avi"),
    "ProRes": ("prores_ks", "yuv422p10le", "mov"),
    "VP9": ("libvpx-vp9", "yuv420p", "webm"),
    "HEVC": ("libx265", "yuv420p", "mp4"),
}


@pytest.mark.parametrize("name", KINDS)
async def test_every_kind_of_pixel_shows_its_colour(name: str, tmp_path: Path) -> None:
    codec, pixel_format, kind = KINDS[name]
    colour = np.array((120, 120, 120) if name == "grey" else (180, 90, 60), np.uint8)
    picture = np.broadcast_to(colour, (96, 130, 3)).copy()
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
    found = await read(write_pictures(tmp_path / f"a.{kind}", [frame] * 3, codec))
    assert len(found.frames) == 3
    assert np.abs(pixels(found.frames[1].picture).mean((0, 1)) - colour).max() < 5
    assert found.totals.complete


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
async def test_of_several_tracks_of_pictures_the_first_is_used_and_that_is_told(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{kind}"
    with av.open(str(path), "w") as container:
        tracks: list[Any] = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for number, track in enumerate(tracks):
            picture = np.full((48, 64, 3), 200 - 150 * number, np.uint8)
            for _ in range(5):
                container.mux(track.encode(av.VideoFrame.from_ndarray(picture)))
            container.mux(track.encode(None))
    found = await read(path)
    assert "tracks of pictures: 2 (the first one is used)" in found.totals.notes
    assert found.totals.complete
    assert pixels(found.frames[0].picture).mean() > 180
