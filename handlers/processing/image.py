"""Encoded pictures to upright RGB pixels and back; whatever comes, the answer is pixels or a name.

Bytes of unknown origin are bounded by what their header declares before any pixel is decoded.
"""

from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pi_heif.as_plugin import HeifImageFile
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)
from PIL import Image as Pillow
from PIL.ExifTags import Base as Exif
from PIL.ImageFile import ImageFile

from handlers.processing import jpeg_end, tone
from handlers.processing.colours import to_rgb

Image = NDArray[np.uint8]

NOT_AN_IMAGE = "not-an-image"
INVALID_IMAGE = "invalid-image"
TRUNCATED_IMAGE = "truncated-image"
TOO_MANY_PIXELS = "too-many-pixels"

# Opened by their own classes and not by Image.open, whose limit of pixels is one of the process.
READERS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIC": HeifImageFile,
}
READ = "read are JPEG, PNG, WebP, HEIC, AVIF, BMP and GIF"
# Files of several pictures that are no animation: cameras put previews and bursts there.
ALBUMS = ("JPEG", "HEIC")
APP1 = b"\xff\xe1"  # begins what may tell a JPEG's orientation, EXIF or XMP
PNG_DEPTH_AT = 24  # the byte of its bits a channel
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")

# (offset, bytes, what it is) of what people send by mistake.
FOREIGN_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "an MP4 or MOV video"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska video"),
    (0, b"II*\x00", "a TIFF picture"),
    (0, b"MM\x00*", "a TIFF picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"<", "HTML, XML or SVG text"),
    (0, b"{", "JSON text"),
    (0, b"data:", "a data URL; send the bytes it encodes"),
)


class ImageError(ValueError):
    """Bytes that give no picture: `type` is a name from above, `detail` says what was found."""

    def __init__(self, type: str, detail: str) -> None:
        super().__init__(detail)
        self.type = type
        self.detail = detail


@dataclass(frozen=True)
class DecodedImage:
    """An upright picture: `pixels` uint8 RGB `(H, W, 3)`, and what was done to get them.

    `format` is "JPEG", "PNG", "WEBP", "HEIC", "AVIF", "BMP" or "GIF"; `rotated` whether the
    camera's orientation mark turned or mirrored it; `frames` how many pictures an animation holds;
    `notes` tell people what was left out or converted.
    """

    pixels: Image
    format: str
    rotated: bool
    frames: int
    notes: tuple[str, ...]


def decode_image(data: bytes, max_pixels: int) -> DecodedImage:
    """Decode one picture: EXIF orientation applied, any colour mode to RGB, an animation's first.

    Transparent pictures are laid over white, 16-bit ones scaled to 8 bits. Raises ImageError
    `not-an-image`, `truncated-image`, `invalid-image`, or, before anything is decoded,
    `too-many-pixels` when width x height x frames exceeds `max_pixels`.
    """
    format = sniff_format(data)
    # Most pictures: nothing tells of a turn, so that Pillow need not be asked for its EXIF.
    if format == "JPEG" and APP1 not in data:
        plain = _decode_jpeg(data, max_pixels)
        if plain is not None:
            return DecodedImage(plain, format, rotated=False, frames=1, notes=())
    return _decode_any(data, format, max_pixels)


def _decode_any(data: bytes, format: str, max_pixels: int) -> DecodedImage:
    try:
        picture = READERS[format](BytesIO(data))
        frames = 1 if format in ALBUMS else int(getattr(picture, "n_frames", 1))
        _check_pixels(picture.width, picture.height, frames, max_pixels)
        mended = False
        if format == "WEBP" and frames == 1:
            pixels, notes = _decode_webp(data)
        elif format == "JPEG" and (plain := _decode_jpeg(data, max_pixels)) is not None:
            pixels, notes = plain, ()
        else:
            picture, mended = _load(picture, format, data)
            pixels, notes = to_rgb(picture)
    except (ImageError, MemoryError):
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise ImageError(TOO_MANY_PIXELS, f"at most {max_pixels} pixels are read") from error
    except Exception as error:  # Pillow raises a dozen types on broken files
        raise _broken(format, data, error) from error
    # Not before: where nothing is said of it, a PNG is read to its end for it.
    orientation = _orientation(picture)
    if frames > 1:
        notes = (f"animation of {frames} frames: the first one is used", *notes)
    if format == "PNG" and data[PNG_DEPTH_AT] == 16:
        notes = ("16 bits a channel scaled to 8", *notes)
    if mended:
        notes = (jpeg_end.NOTE, *notes)
    if curve := tone.curve_of(data):
        curve.apply(pixels)
        notes = (curve.note, *notes)
    rotated = orientation != 1 or picture.info.get("original_orientation") not in (None, 1)
    picture.close()
    # Turned pictures are views: OpenCV takes only rows that lie one after the other.
    pixels = np.ascontiguousarray(_turn_upright(pixels, orientation))
    return DecodedImage(pixels, format, rotated, frames, notes)


def _load(picture: ImageFile, format: str, data: bytes) -> tuple[ImageFile, bool]:
    """Decode, also a JPEG whose end marker alone is missing; return whether it was."""
    try:
        picture.load()
    except OSError:
        mended = jpeg_end.mend(data) if format == "JPEG" else None
        if mended is None:
            raise
        return mended, True
    return picture, False


def encode_png(pixels: Image) -> bytes:
    """Encode uint8 RGB `(H, W, 3)` as PNG, without loss and fast rather than small."""
    buffer = BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def sniff_format(data: bytes) -> str:
    """Tell the format, a key of READERS, by the first bytes; raises ImageError `not-an-image`."""
    starts = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"BM": "BMP"}
    for start, format in starts.items():
        if data.startswith(start):
            return format
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = data[8:12] + data[16 : min(64, int.from_bytes(data[:4], "big"))]
        if any(brand in brands for brand in AVIF_BRANDS):
            return "AVIF"
        if any(brand in brands for brand in HEIC_BRANDS):
            return "HEIC"
    if not data:
        raise ImageError(NOT_AN_IMAGE, f"nothing was sent; {READ}")
    for offset, magic, found in FOREIGN_MAGIC:
        if data[offset : offset + 64].lstrip().startswith(magic):
            raise ImageError(NOT_AN_IMAGE, f"this is {found}; {READ}")
    raise ImageError(NOT_AN_IMAGE, f"{len(data)} bytes that start with {data[:8].hex(' ')}; {READ}")


def _check_pixels(width: int, height: int, frames: int, max_pixels: int) -> None:
    if width * height * frames > max_pixels:
        times = f" x {frames} frames" if frames > 1 else ""
        detail = (
            f"the header declares {width} x {height} pixels{times}; at most {max_pixels} are read"
        )
        raise ImageError(TOO_MANY_PIXELS, detail)


def _broken(format: str, data: bytes, error: Exception) -> ImageError:
    """Tell a picture that was cut off, by what its format ends with, from one that is damaged."""
    whole = {
        "JPEG": b"\xff\xd9" in data[-256:],
        "PNG": b"IEND" in data[-256:],
        "GIF": data[-1:] == b";",
        "WEBP": len(data) >= int.from_bytes(data[4:8], "little") + 8,
        "BMP": len(data) >= int.from_bytes(data[2:6], "little"),
    }
    if whole.get(format, _is_whole_box_file(data)):
        reason = str(error) or type(error).__name__
        return ImageError(INVALID_IMAGE, f"the {format} picture is damaged: {reason}")
    return ImageError(TRUNCATED_IMAGE, f"the {format} picture ends early, after {len(data)} bytes")


def _is_whole_box_file(data: bytes) -> bool:
    """Tell whether the boxes of HEIC and AVIF end where the file does."""
    at = 0
    while at + 8 <= len(data):
        # 0 means up to the end of the file; 1, a longer number behind it, is taken for the same.
        length = int.from_bytes(data[at : at + 4], "big")
        at = at + length if length >= 8 else len(data)
    return at == len(data)


def _decode_webp(data: bytes) -> tuple[Image, tuple[str, ...]]:
    """Decode a WebP that is no animation; Pillow would hold four copies of it, OpenCV one."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise OSError("its data cannot be decoded")
    if stored.shape[2] == 3:
        return np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB, dst=stored), np.uint8), ()
    cv2.cvtColor(stored, cv2.COLOR_BGRA2RGBA, dst=stored)
    return to_rgb(Pillow.fromarray(stored))


def _decode_jpeg(data: bytes, max_pixels: int) -> Image | None:
    """Decode a JPEG in colour or grey to the pixels that Pillow gives, in half the time.

    None where it is anything but whole and sound, which Pillow knows more about. Raises ImageError.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        _check_pixels(width, height, 1, max_pixels)
        if colours not in ("YCbCr", "Gray"):
            return None
        # Strict: a warning is an error, and Pillow decides what of the picture can be used.
        return np.asarray(simplejpeg.decode_jpeg(data, strict=True), np.uint8)
    except ImageError:
        raise
    except ValueError:
        return None


def _orientation(picture: ImageFile) -> int:
    """Read the EXIF orientation, 1 (upright) to 8; 1 where there is none that can be."""
    try:
        value = picture.getexif().get(Exif.Orientation, 1)
    except Exception:  # a broken EXIF block does not spoil the picture
        return 1
    return value if value in range(1, 9) else 1


def _turn_upright(pixels: Image, orientation: int) -> Image:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
