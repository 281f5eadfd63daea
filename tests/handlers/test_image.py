"""Pictures of every kind are read right and upright."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from handlers.processing import colours
from handlers.processing.image import decode_image, encode_png
from tests.made_pictures import SCENE, chunk, encoded, png

ASTRONAUT = Path(__file__).parents[1] / "assets" / "astronaut.jpg"
MOST = 1_000_000
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 24),
        ("JPEG", {"quality": 98, "subsampling": 0}, 8),
        ("JPEG", {"quality": 98, "subsampling": 0, "progressive": True}, 8),
    ],
)
def test_every_format_gives_its_pixels(
    format: str, options: dict[str, Any], tolerance: int
) -> None:
    decoded = decode_image(encoded(SCENE, format, **options), MOST)
    assert decoded.pixels.dtype == np.uint8
    assert abs(decoded.pixels.astype(int) - SCENE).max() <= tolerance
    assert (decoded.format, decoded.rotated, decoded.frames, decoded.notes) == (
        format,
        False,
        1,
        (),
    )


def test_the_pixels_may_be_written_on() -> None:
    decode_image(encoded(SCENE, "PNG"), MOST).pixels[0, 0] = 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, format: str) -> None:
    # What the camera stored so that a viewer, by the EXIF standard, shows the scene.
    stored: Callable[[np.ndarray], np.ndarray] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(encoded(np.ascontiguousarray(stored(SCENE)), format, exif=exif), MOST)
    assert decoded.pixels.shape == SCENE.shape
    assert abs(decoded.pixels.astype(int) - SCENE).mean() < 6
    assert decoded.rotated == (orientation != 1)


@pytest.mark.parametrize("value", [0, 9, 300])
def test_an_orientation_out_of_range_is_upright(value: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = value
    assert not decode_image(encoded(SCENE, "PNG", exif=exif), MOST).rotated


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_block_does_not_spoil_the_picture() -> None:
    data = encoded(SCENE, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert decode_image(data, MOST).pixels.shape == SCENE.shape


def test_cmyk_is_read_right_with_and_without_adobes_mark() -> None:
    data = encoded(Pillow.fromarray(SCENE).convert("CMYK"), "JPEG", quality=98)
    start = data.index(b"\xff\xee")
    length = int.from_bytes(data[start + 2 : start + 4], "big") + 2
    inverted = Pillow.eval(Pillow.fromarray(SCENE).convert("CMYK"), lambda ink: 255 - ink)
    plain = encoded(inverted, "JPEG", quality=98)
    unmarked = plain[:start] + plain[start + length :]
    for picture in (data, unmarked):
        decoded = decode_image(picture, MOST)
        assert abs(decoded.pixels.astype(int) - SCENE).mean() < 4
        assert "CMYK" in decoded.notes[0]


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    levels = np.array([[0, 257, 128 * 257, 40_000, 65_535]], ">u2")
    decoded = decode_image(png(5, 1, 16, 0, b"\0" + levels.tobytes()), MOST)
    assert decoded.pixels[0, :, 0].tolist() == [0, 1, 128, 156, 255]
    assert decoded.notes == ("16 bits a channel scaled to 8",)


@pytest.mark.parametrize(("color", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_of_any_channels_are_scaled_and_told(color: int, channels: int) -> None:
    row = np.full((3, channels), 65_535, ">u2")
    row[1, 0] = 128 * 257
    decoded = decode_image(png(3, 1, 16, color, b"\0" + row.tobytes()), MOST)
    assert decoded.pixels[0, :, 0].tolist() == [255, 128, 255]
    assert decoded.notes == ("16 bits a channel scaled to 8",)


def test_sixteen_bit_colour_is_scaled_and_not_clipped() -> None:
    levels = np.array([[0, 128 * 257, 65_535]], ">u2")
    decoded = decode_image(png(1, 1, 16, 2, b"\0" + levels.tobytes()), MOST)
    assert decoded.pixels.tolist() == [[[0, 128, 255]]]


def test_grey_one_bit_and_palette_pictures_are_read_right() -> None:
    grey = decode_image(encoded(SCENE[..., 0], "PNG"), MOST).pixels
    np.testing.assert_array_equal(grey, np.repeat(SCENE[..., :1], 3, axis=2))
    one_bit = decode_image(png(8, 1, 1, 0, b"\0\xa5"), MOST).pixels
    assert one_bit[0, :, 2].tolist() == [255, 0, 255, 0, 0, 255, 0, 255]
    four_bit = decode_image(png(2, 1, 4, 0, b"\0\x3f"), MOST).pixels
    assert four_bit[0, :, 0].tolist() == [51, 255]
    palette = chunk(b"PLTE", bytes([9, 8, 7, 1, 2, 3]))
    assert decode_image(png(2, 1, 8, 3, b"\0\x01\x00", palette), MOST).pixels.tolist() == [
        [[1, 2, 3], [9, 8, 7]]
    ]


def test_transparent_parts_are_laid_over_white() -> None:
    half = np.dstack([SCENE, np.full(SCENE.shape[:2], 255, np.uint8)])
    half[:, :16, 3] = 0
    half[:, 16, 3] = 128
    decoded = decode_image(encoded(half, "PNG"), MOST)
    assert (decoded.pixels[:, :16] == 255).all()
    np.testing.assert_array_equal(decoded.pixels[:, 17:], SCENE[:, 17:])
    assert abs(decoded.pixels[:, 16].astype(int) - (SCENE[:, 16] // 2 + 127)).max() <= 2
    assert "white" in decoded.notes[0]


def test_a_transparent_palette_colour_and_grey_with_alpha_are_laid_over_white() -> None:
    more = (chunk(b"PLTE", bytes([9, 8, 7, 1, 2, 3])), chunk(b"tRNS", b"\x00"))
    pixels = decode_image(png(2, 1, 8, 3, b"\0\x01\x00", *more), MOST).pixels
    assert pixels.tolist() == [[[1, 2, 3], [255, 255, 255]]]
    pixels = decode_image(png(2, 1, 8, 4, b"\0\x40\xff\x40\x00"), MOST).pixels
    assert pixels.tolist() == [[[64, 64, 64], [255, 255, 255]]]


def test_an_opaque_alpha_channel_needs_no_note() -> None:
    opaque = np.dstack([SCENE, np.full(SCENE.shape[:2], 255, np.uint8)])
    decoded = decode_image(encoded(opaque, "PNG"), MOST)
    np.testing.assert_array_equal(decoded.pixels, SCENE)
    assert decoded.notes == ()


def test_a_picture_that_is_all_transparent_shows_its_colours() -> None:
    clear = np.dstack([SCENE, np.zeros(SCENE.shape[:2], np.uint8)])
    decoded = decode_image(encoded(clear, "PNG"), MOST)
    np.testing.assert_array_equal(decoded.pixels, SCENE)
    assert "transparency ignored" in decoded.notes[0]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken_and_noted(format: str) -> None:
    frames = [Pillow.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], lossless=True)
    decoded = decode_image(data, MOST)
    assert decoded.frames == 3
    assert (decoded.pixels == (255, 0, 0)).all()
    assert decoded.notes[0] == "animation of 3 frames: the first one is used"


def test_further_pictures_in_a_cameras_jpeg_are_no_animation() -> None:
    data = encoded(SCENE, "MPO", save_all=True, append_images=[Pillow.fromarray(SCENE)])
    decoded = decode_image(data, MOST)
    assert (decoded.format, decoded.frames) == ("JPEG", 1)


def test_a_png_written_is_read_back_exactly() -> None:
    pixels = RNG.integers(0, 255, (7, 5, 3), np.uint8)
    np.testing.assert_array_equal(decode_image(encode_png(pixels), MOST).pixels, pixels)


def test_the_portrait_is_read() -> None:
    decoded = decode_image(ASTRONAUT.read_bytes(), MOST)
    assert decoded.pixels.shape == (512, 512, 3)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_has_the_pixels_that_pillow_reads(mode: str, lossless: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (37, 51, len(mode)), np.uint8)
    data = BytesIO()
    Pillow.fromarray(noise).save(data, "WEBP", lossless=lossless, exact=True)
    expected = Pillow.open(data).convert("RGBA")
    white = Pillow.new("RGB", expected.size, "white")
    white.paste(expected, mask=expected.getchannel("A"))
    decoded = decode_image(data.getvalue(), MOST)
    np.testing.assert_array_equal(decoded.pixels, np.asarray(white))


@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_has_the_pixels_that_pillow_reads(
    mode: str, subsampling: str, progressive: bool
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (37, 51, 3), np.uint8)
    data = BytesIO()
    Pillow.fromarray(noise).convert(mode).save(
        data, "JPEG", subsampling=subsampling, progressive=progressive
    )
    decoded = decode_image(data.getvalue(), MOST)
    expected = np.asarray(Pillow.open(data).convert("RGB"))
    np.testing.assert_array_equal(decoded.pixels, expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "I;16", "CMYK"])
def test_a_picture_converted_in_strips_is_the_same(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (45, 31, 4), np.uint8)
    picture = Pillow.fromarray(noise[:, :, :3])
    if mode == "I;16":
        picture = Pillow.fromarray(noise[:, :, 0].astype(np.uint16) * 256)
    elif mode in ("RGBA", "LA"):
        picture = Pillow.fromarray(noise).convert(mode)
    elif mode != "RGB":
        picture = picture.convert(mode)
    data = BytesIO()
    picture.save(data, "JPEG" if mode == "CMYK" else "PNG")
    whole = decode_image(data.getvalue(), MOST)
    monkeypatch.setattr(colours, "STRIP_PX", 200)
    strips = decode_image(data.getvalue(), MOST)
    np.testing.assert_array_equal(strips.pixels, whole.pixels)
    assert strips.notes == whole.notes
