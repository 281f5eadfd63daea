"""What is no picture, too large or damaged is refused by name, and nothing else is."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from handlers.processing.image import ImageError, decode_image
from tests.made_pictures import (
    SCENE,
    bmp_header,
    chunk,
    encoded,
    gif_header,
    jpeg_header,
    png,
    png_header,
    webp_header,
)

ASTRONAUT = Path(__file__).parents[1] / "assets" / "astronaut.jpg"
MOST = 1_000_000
RNG = np.random.default_rng(0)
BOMBS = {
    "PNG": png_header(50_000, 50_000),
    "GIF": gif_header(60_000, 60_000),
    "GIF frame": gif_header(1, 1, frame_size=(60_000, 60_000)),
    "BMP": bmp_header(40_000, 40_000),
    "JPEG": jpeg_header(60_000, 60_000),
}


def kind_of(data: bytes, max_pixels: int = MOST) -> str:
    with pytest.raises(ImageError) as refused:
        decode_image(data, max_pixels)
    assert refused.value.detail
    return refused.value.type


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "BMP", "GIF"])
def test_a_picture_cut_off_anywhere_is_told_to_be_truncated(format: str) -> None:
    data = encoded(RNG.integers(0, 255, (24, 32, 3), np.uint8), format)
    for length in np.linspace(16, len(data) - 24, 40, dtype=int):
        assert kind_of(data[:length]) == "truncated-image"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "nothing"),
        (b"hello, world", "68 65 6c 6c"),
        (b"  <html>", "HTML"),
        (b"%PDF-1.7", "PDF"),
        (b"\x00\x00\x00\x18ftypisom", "video"),
        (b'{"image": 1}', "JSON"),
        (b"II*\x00abc", "TIFF"),
        (b"data:image/png;base64,AAAA", "data URL"),
        (b"RIFF\x00\x00\x00\x00WAVE", "52 49"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, found: str) -> None:
    with pytest.raises(ImageError, match=found) as refused:
        decode_image(data, MOST)
    assert refused.value.type == "not-an-image"


@pytest.mark.parametrize("format", BOMBS)
def test_too_many_declared_pixels_are_refused_by_the_header_alone(format: str) -> None:
    assert kind_of(BOMBS[format]) == "too-many-pixels"


def test_a_webp_that_declares_too_many_pixels_is_refused() -> None:
    assert kind_of(webp_header(16_383, 16_383)) in ("too-many-pixels", "invalid-image")


def test_the_frames_of_an_animation_count_as_pixels() -> None:
    frames = [Pillow.new("L", (100, 100), level) for level in range(0, 200, 20)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert kind_of(data, max_pixels=99_999) == "too-many-pixels"
    assert decode_image(data, max_pixels=100_000).frames == 10


def test_an_apng_that_declares_a_billion_frames_is_refused() -> None:
    animation = chunk(b"acTL", struct.pack(">II", 10**9, 0))
    assert kind_of(png(8, 1, 1, 0, b"\0\xa5", animation)) == "too-many-pixels"


def test_the_limit_itself_is_allowed() -> None:
    data = encoded(SCENE, "PNG")
    assert decode_image(data, 24 * 32).pixels.shape == (24, 32, 3)
    assert kind_of(data, 24 * 32 - 1) == "too-many-pixels"


def test_a_damaged_picture_is_told_from_a_truncated_one() -> None:
    data = bytearray(encoded(RNG.integers(0, 255, (40, 40, 3), np.uint8), "PNG"))
    data[len(data) // 2] ^= 255
    assert kind_of(bytes(data)) == "invalid-image"


@given(st.binary(max_size=300), st.sampled_from([b"", *map(bytes, (b"\xff\xd8\xff", b"GIF89a"))]))
def test_random_bytes_give_pixels_or_an_image_error(data: bytes, start: bytes) -> None:
    with contextlib.suppress(ImageError):
        assert decode_image(start + data, MOST).pixels.dtype == np.uint8


REAL = {
    "JPEG": encoded(
        Pillow.open(ASTRONAUT).resize((48, 48)), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0"
    ),
    "CMYK": encoded(Pillow.fromarray(SCENE).convert("CMYK"), "JPEG"),
    "PNG": encoded(SCENE, "PNG"),
    "palette": encoded(Pillow.fromarray(SCENE).convert("P"), "PNG", transparency=3),
    "WEBP": encoded(SCENE, "WEBP"),
    "BMP": encoded(SCENE, "BMP"),
    "GIF": encoded(
        Pillow.fromarray(SCENE), "GIF", save_all=True, append_images=[Pillow.new("RGB", (32, 24))]
    ),
}


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it then repairs
@pytest.mark.parametrize("name", sorted(REAL))
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8))
def test_damaged_real_pictures_give_pixels_or_an_image_error(
    name: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(REAL[name])
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(ImageError):
        decoded = decode_image(bytes(data), MOST)
        assert decoded.pixels.ndim == 3
        assert decoded.pixels.shape[2] == 3
