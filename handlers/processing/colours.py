"""A loaded picture of any colour mode to RGB pixels, with notes on what was lost or chosen."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image as Pillow
from PIL.ImageChops import invert

from handlers.processing.arrays import Image

# A large picture is converted so much at a time.
STRIP_PX = 4_000_000


def to_rgb(picture: Pillow.Image) -> tuple[Image, tuple[str, ...]]:
    """Convert a loaded picture of any mode to pixels `(H, W, 3)`, with notes on what was done.

    A large picture is converted in strips: it is there twice, and nothing of it more often.
    """
    convert, notes = _conversion(picture)
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    for top, strip in _strips(picture):
        pixels[top : top + strip.height] = convert(strip)
    return pixels, notes


def _strips(picture: Pillow.Image) -> Iterator[tuple[int, Pillow.Image]]:
    """Yield a picture from top to bottom, with the row at which each part begins."""
    width, height = picture.size
    rows = max(1, STRIP_PX // max(1, width))
    if rows >= height:
        yield 0, picture
        return
    for top in range(0, height, rows):
        yield top, picture.crop((0, top, width, min(top + rows, height)))


def _conversion(picture: Pillow.Image) -> tuple[Callable[[Pillow.Image], Image], tuple[str, ...]]:
    """Choose how a picture, or a part of it, is made RGB, with notes on it."""
    if picture.mode.startswith("I"):
        return _from_16_bits, ()
    if picture.has_transparency_data:
        low, high = _extrema_of_alpha(picture)
        if low == 255:
            return _plainly, ()
        if high == 0:
            return _plainly, ("fully transparent: transparency ignored",)
        return _over_white, ("transparent parts laid over white",)
    if picture.mode == "CMYK":
        # Pillow takes every CMYK JPEG as Adobe's, which is inverted; without its mark it is not.
        convert = _plainly if "adobe" in picture.info else _from_inks
        return convert, ("CMYK converted to RGB without a colour profile",)
    return _plainly, ()


def _plainly(picture: Pillow.Image) -> Image:
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _from_inks(picture: Pillow.Image) -> Image:
    return np.asarray(invert(picture).convert("RGB"))


def _from_16_bits(picture: Pillow.Image) -> Image:
    wide = np.asarray(picture).astype(np.int64)
    grey = np.clip((wide * 255 + 32767) // 65535, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _over_white(picture: Pillow.Image) -> Image:
    picture = picture.convert("RGBA")
    white = Pillow.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return np.asarray(white)


def _extrema_of_alpha(picture: Pillow.Image) -> tuple[int, int]:
    """Return the least and the greatest opacity of a picture."""
    parts = (strip.convert("RGBA").getchannel("A").getextrema() for _, strip in _strips(picture))
    lows, highs = zip(*parts, strict=True)
    return min(lows), max(highs)
