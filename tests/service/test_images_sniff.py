"""Headers are read whatever the bytes, and nothing behind them is decoded."""

import io
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pillow_heif.as_plugin import register_heif_opener

from service.errors import Problem, ServiceError
from service.media.formats import name_format
from service.media.images import (
    ImageHeader,
    check_pixels,
    count_gif_frames,
    notes_on,
    sniff,
    sniff_soon,
)
from tests.made_pictures import bmp_header, chunk, gif_header, png_header, webp_header

IHDR = chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))
GIF_HEAD = b"GIF89a" + struct.pack("<HH", 9, 9) + b"\0\0\0"
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "BMP", "GIF")
NAMES = {"HEIF": "HEIC"}


register_heif_opener()  # which writes it, too


def encode(name: str, frames: int = 1, size: tuple[int, int] = (33, 21)) -> bytes:
    """Return a picture whose frames differ in colour."""
    pages = [Image.new("RGB", size, (40 * index, 0, 90)) for index in range(frames)]
    data = io.BytesIO()
    more = {"save_all": True, "append_images": pages[1:]} if frames > 1 else {}
    pages[0].save(data, name, **more)
    return data.getvalue()


def told(header: ImageHeader) -> tuple[str, int, int, int]:
    return header.format, header.width, header.height, header.frames


def flat(name: str, size: tuple[int, int], mode: str = "RGB", **options: object) -> ImageHeader:
    """The header of a picture of one colour."""
    data = io.BytesIO()
    Image.new(mode, size).save(data, name, **options)
    return sniff(data.getvalue())


def test_pixels_that_the_bytes_cannot_show_are_refused():
    header = flat("WEBP", (16383, 3000), lossless=True, method=0)
    assert header.bytes < 100
    with pytest.raises(ServiceError, match="hold hardly more than one colour") as caught:
        check_pixels(header, 50_000_000)
    assert caught.value.problem is Problem.TOO_MANY_PIXELS


@pytest.mark.parametrize("name", ["PNG", "WEBP", "AVIF", "JPEG", "GIF"])
def test_an_honest_picture_of_one_colour_is_read(name):
    options = {"WEBP": {"lossless": True, "method": 0}, "AVIF": {"speed": 10}}
    check_pixels(flat(name, (4000, 3000), **options.get(name, {})), 50_000_000)


@pytest.mark.parametrize(("mode", "subsampling"), [("RGB", 0), ("CMYK", 0)])
def test_of_what_decoders_hold_more_of_less_is_read(mode, subsampling):
    heavy = flat("JPEG", (400, 300), mode, progressive=True, subsampling=subsampling)
    with pytest.raises(ServiceError, match="at most 80000 are read of progressive JPEG"):
        check_pixels(heavy, 120_000)
    check_pixels(heavy, 180_000)
    check_pixels(flat("JPEG", (400, 300), mode, subsampling=subsampling), 120_000)
    check_pixels(flat("JPEG", (400, 300), progressive=True, subsampling=2), 120_000)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_tells_its_size(name):
    # Coders of HEIC fill up small pictures, which are cut to size when they are shown.
    size = (64, 64) if name == "HEIF" else (33, 21)
    assert told(sniff(encode(name))) == (NAMES.get(name, name), *size, 1)


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_an_animation_tells_its_frames(name):
    header = sniff(encode(name, frames=5))
    assert (header.frames, header.pixels) == (5, 5 * 33 * 21)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "GIF"])
def test_the_pixels_are_not_needed(name):
    assert sniff(encode(name, size=(400, 300))[:900]).width == 400


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1", "LA"])
def test_every_colour_model_has_a_header(mode):
    data = io.BytesIO()
    Image.new(mode, (20, 10)).save(data, "JPEG" if mode == "CMYK" else "PNG")
    assert (sniff(data.getvalue()).width, sniff(data.getvalue()).height) == (20, 10)


def test_a_jpeg_with_further_pictures_is_one_frame():
    assert told(sniff(encode("MPO", frames=2))) == ("JPEG", 33, 21, 1)


@pytest.mark.parametrize(
    "data",
    [png_header(30_000, 30_000), gif_header(65_535, 65_535), bmp_header(30_000, 30_000)],
    ids=["PNG", "GIF", "BMP"],
)
def test_a_bomb_costs_no_memory(data):
    tracemalloc.start()
    header = sniff(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    with pytest.raises(ServiceError) as caught:
        check_pixels(header, 50_000_000)
    assert caught.value.problem is Problem.TOO_MANY_PIXELS


def test_a_size_that_the_reader_itself_refuses_is_too_many_pixels():
    with pytest.raises(ServiceError) as caught:
        sniff(webp_header(16_000, 16_000))
    assert caught.value.problem is Problem.TOO_MANY_PIXELS


def test_frames_are_counted_to_the_bound_and_no_further():
    assert count_gif_frames(gif_header(1, 1, 7), 100) == 7
    assert count_gif_frames(gif_header(1, 1, 7), 5) == 6
    assert count_gif_frames(gif_header(1, 1, 7)[:-40], 100) == 5


def test_a_declared_type_may_be_any_name_of_the_format():
    for declared in (None, "image/jpeg", "image/jpg", "image/pjpeg"):
        assert notes_on("JPEG", declared) == []


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_or_a_problem_of_the_client(data):
    _sniff_or_refuse(data)


@given(st.sampled_from(FORMATS), st.data())
def test_a_picture_with_changed_bytes_is_a_header_or_a_problem_of_the_client(name, draw):
    data = bytearray(encode(name, frames=2 if name in ("GIF", "WEBP", "PNG") else 1))
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(data) - 1))
        data[at] = draw.draw(st.integers(0, 255))
    _sniff_or_refuse(bytes(data[: draw.draw(st.integers(1, len(data)))]))


@given(st.sampled_from(FORMATS), st.binary(max_size=200))
def test_a_right_start_with_any_rest_is_a_header_or_a_problem_of_the_client(name, rest):
    _sniff_or_refuse(encode(name)[:26] + rest)


@given(st.binary(max_size=400), st.integers(0, 50))
def test_counting_frames_ends_on_any_bytes(data, most):
    assert 0 <= count_gif_frames(b"GIF89a" + data, most) <= most + 1


PIECES = 100_000
FLOODS = {
    "PNG chunks before the pixels": b"\x89PNG\r\n\x1a\n" + IHDR + chunk(b"prVt") * PIECES,
    "PNG chunks of pixels": b"\x89PNG\r\n\x1a\n" + IHDR + chunk(b"IDAT") * PIECES,
    "GIF comments": GIF_HEAD + b"!\xfe\x01a\0" * PIECES,
    "GIF pieces of pixels": GIF_HEAD + b"," + bytes(8) + b"\0\x02" + b"\x01a" * PIECES,
    "JPEG comments": b"\xff\xd8" + b"\xff\xfe\0\x02" * PIECES,
    "JPEG fill bytes": b"\xff\xd8\xff" + b"\xff" * PIECES,
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_small_pieces_is_refused_long_before_its_end(name):
    with pytest.raises(ServiceError, match="invalid-image.*more than"):
        sniff(FLOODS[name])


@given(st.binary(max_size=40))
def test_naming_a_format_never_fails(data):
    assert name_format(data) is None or name_format(data)


def _sniff_or_refuse(data: bytes) -> None:
    try:
        header = sniff(data)
    except ServiceError as error:
        refused = error.problem
    else:
        assert header.format in {NAMES.get(name, name) for name in FORMATS}
        assert min(header.width, header.height, header.frames) >= 1
        return
    assert refused.status in (415, 422)


def declare(data: bytes, width: int, height: int) -> bytes:
    """Make every picture in an AVIF declare another size."""
    size = struct.pack(">II", width, height)
    parts = data.split(b"ispe")
    return b"ispe".join([parts[0], *(part[:4] + size + part[12:] for part in parts[1:])])


DNG_HEAD = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0xC612, 1, 4, 0x0401)
PNG_AS_TEXT = b"\x89PNG\n\x1a\n\0\0\0\rIHDR"
SENT_BY_MISTAKE = {
    "raw picture (CR2)": b"II*\0\x10\0\0\0CR\2\0",
    "raw picture (CR3)": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "raw picture (DNG)": DNG_HEAD,
    "raw picture (RAF)": b"FUJIFILMCCD-RAW 0201",
    "TIFF": b"II+\0\x08\0\0\0\x10\0",
    "DICOM": bytes(128) + b"DICM",
    "changed on its way": PNG_AS_TEXT,
    "macOS": b"\0\5\x16\7\0\2\0\0Mac OS X",
    "HTML page": b"\n<!DOCTYPE html><html>",
    "JSON": b'{"image": "/9j/4AAQ"}',
    "data URL": b"data:image/jpeg;base64,/9j/4AAQ",
    "JPEG as base64": b"/9j/4AAQSkZJRgABAQAAAQAB",
    "PNG as base64": b"iVBORw0KGgoAAAANSUhEUgAA",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1",
    "form whose header": b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n\xff\xd8\xff',
}


@pytest.mark.parametrize("name", SENT_BY_MISTAKE)
def test_what_people_send_by_mistake_is_named(name):
    with pytest.raises(ServiceError) as caught:
        sniff(SENT_BY_MISTAKE[name] + bytes(64))
    assert name in caught.value.detail
    assert caught.value.problem in (Problem.NOT_AN_IMAGE, Problem.UNSUPPORTED_FORMAT)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("frames", [1, 2])
def test_an_avif_that_holds_more_than_it_declares_is_refused(mode, frames):
    pages = [Image.new(mode, (400, 300), (40 * index, 0, 90)) for index in range(frames)]
    data = io.BytesIO()
    pages[0].save(data, "AVIF", save_all=frames > 1, append_images=pages[1:])
    assert told(sniff(data.getvalue())) == ("AVIF", 400, 300, 1)
    with pytest.raises(ServiceError) as caught:
        sniff(declare(data.getvalue(), 40, 30))
    assert caught.value.problem is Problem.INVALID_IMAGE
    assert "400 x 300 pixels inside, while it declares 40 x 30" in caught.value.detail


def test_an_avif_of_more_pictures_than_one_has_use_for_is_refused():
    data = encode("AVIF", size=(1000, 900))
    at = data.index(b"iloc") - 4
    place = data.index(b"iloc") + 4
    (length,) = struct.unpack_from(">I", data, at)
    entry = data[place + 8 : at + length]
    table = data[place : place + 6] + struct.pack(">H", 9) + 9 * entry
    box = struct.pack(">I", 8 + len(table)) + b"iloc" + table
    meta = data.index(b"meta") - 4
    (whole,) = struct.unpack_from(">I", data, meta)
    grown = struct.pack(">I", whole + len(box) - length)
    shifted = data[:meta] + grown + data[meta + 4 : at] + box + data[at + length :]
    # What items say of their place counts from the beginning of the file, which has moved.
    moved = len(box) - length
    fixed = bytearray(shifted)
    first = at + 8 + 8
    for number in range(9):
        offset_at = first + number * len(entry) + len(entry) - 8
        (offset,) = struct.unpack_from(">I", fixed, offset_at)
        struct.pack_into(">I", fixed, offset_at, offset + moved)
    with pytest.raises(ServiceError, match="pixels inside"):
        sniff(bytes(fixed))


@given(st.binary(max_size=64), st.integers(0, 2000))
def test_a_damaged_avif_is_read_or_refused(noise, at):
    data = bytearray(AVIF)
    data[at : at + len(noise)] = noise
    _sniff_or_refuse(bytes(data))


AVIF = encode("AVIF")


def test_a_usual_jpeg_is_read_at_once_and_the_rest_by_a_thread() -> None:
    assert sniff_soon(encode("JPEG")) == sniff(encode("JPEG"))
    assert sniff_soon(encode("PNG")) is None
    comments = b"\xff\xfe\x00\x03c" * 500
    flooded = encode("JPEG")[:2] + comments + encode("JPEG")[2:]
    assert sniff_soon(flooded) is None
    assert told(sniff(flooded)) == told(sniff(encode("JPEG")))
    with pytest.raises(ServiceError):
        sniff_soon(encode("JPEG")[:30])
