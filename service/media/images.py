"""A picture's bytes into its header: format, size and frames, without decoding a pixel.

GIF and PNG are walked from block to block. A file of a few megabytes can hold a million blocks,
each of which costs a reader as much as a real one. So their number is bounded by the file's
length, far above what any writer makes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from service.errors import Problem, ServiceError
from service.media.formats import (
    OTHER_PICTURES,
    READ_HERE,
    SEND_INSTEAD,
    BoxError,
    check_coded_sizes,
    describe_bytes,
    largest_size,
    name_format,
)

FEWEST_REFUSED, BYTES_PER_BLOCK = 1000, 128
GIF_EXTENSION, GIF_FRAME = 0x21, 0x2C
GIF_HEADER_BYTES, GIF_DESCRIPTOR_BYTES = 13, 10
PNG_SIGNATURE_BYTES, PNG_CHUNK_BYTES = 8, 12
# The readers themselves rather than Image.open: its warnings about size belong to the process,
# while the bound here is an option of each application.
READERS: Mapping[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
}
MEDIA_TYPES: Mapping[str, str] = {
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/pjpeg": "JPEG",
    "image/png": "PNG",
    "image/apng": "PNG",
    "image/x-png": "PNG",
    "image/webp": "WEBP",
    "image/bmp": "BMP",
    "image/x-bmp": "BMP",
    "image/x-ms-bmp": "BMP",
    "image/gif": "GIF",
    "image/heic": "HEIC",
    "image/heif": "HEIC",
    "image/heic-sequence": "HEIC",
    "image/heif-sequence": "HEIC",
    "image/avif": "AVIF",
}
MAX_FRAMES = 10_000  # of an animation: counting them costs time too
MAX_READS = 20_000  # pieces of a header that a reader may ask for
USUAL_READS = 200
# Decoders of some forms hold so many times more of a picture than others do.
HEAVY = {"AVIF": 1.5, "progressive JPEG": 1.5}
# No photograph is packed so tightly. A picture of one colour is, by WebP and AVIF alone.
LARGE_PX, MOST_PX_A_BYTE = 16_000_000, 10_000


class BlockFlood(ValueError):
    """More blocks than a file of this length holds for any good reason."""


def count_gif_frames(data: bytes, most: int) -> int:
    """Return how many frames the GIF in `data` holds, `most` + 1 standing for any more.

    Counting ends quietly where the file does, whether at its trailer or cut short. Raises
    BlockFlood.
    """
    frames = 0
    for introducer in _bounded(_gif_blocks(data), data):
        frames += introducer == GIF_FRAME
        if frames > most:
            break
    return frames


def check_png_chunks(data: bytes) -> None:
    """Walk the chunks of the PNG in `data`; raises BlockFlood."""
    for _ in _bounded(_png_chunks(data), data):
        pass


def _bounded(blocks: Iterator[int], data: bytes) -> Iterator[int]:
    most = FEWEST_REFUSED + len(data) // BYTES_PER_BLOCK
    for count, block in enumerate(blocks):
        if count > most:
            raise BlockFlood(f"more than {most} blocks in {len(data)} bytes")
        yield block


def _png_chunks(data: bytes) -> Iterator[int]:
    """Yield the place of every chunk."""
    # A length from the file is only ever added: every round goes on by a chunk at least.
    position = PNG_SIGNATURE_BYTES
    while position < len(data):
        yield position
        position += PNG_CHUNK_BYTES + int.from_bytes(data[position : position + 4], "big")


def _gif_blocks(data: bytes) -> Iterator[int]:
    """Yield the introducer of every frame and extension, and 0 for every sub-block."""
    position = GIF_HEADER_BYTES + _gif_table_bytes(data, 10)
    while position < len(data) and data[position] in (GIF_EXTENSION, GIF_FRAME):
        introducer = data[position]
        yield introducer
        position += 2
        if introducer == GIF_FRAME:
            position += GIF_DESCRIPTOR_BYTES - 1
            position += _gif_table_bytes(data, position - 2)
        while position < len(data) and data[position]:
            position += data[position] + 1
            yield 0
        position += 1


def _gif_table_bytes(data: bytes, flags_at: int) -> int:
    """Return the size of the colour table that the flags at this place announce."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


@dataclass(frozen=True)
class ImageHeader:
    """The header of a picture: format name, size in pixels as stored, frames, bytes in all.

    `form` names the format more closely where that decides how large a picture may be.
    """

    format: str
    width: int
    height: int
    frames: int
    bytes: int
    form: str

    @property
    def pixels(self) -> int:
        """Width x height x frames: what decoding the whole of it would fill."""
        return self.width * self.height * self.frames


class _Header(BytesIO):
    """A file that a reader may ask for only so many pieces of: no header needs more."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self.reads, self._most = 0, most

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on; raises BlockFlood when asked too often."""
        self.reads += 1
        if self.reads > self._most:
            raise BlockFlood(f"more than {self._most} pieces in its header")
        return super().read(size)


def sniff_soon(data: bytes) -> ImageHeader | None:
    """Read the header of a usual JPEG as `sniff` does, which takes less than a thread's turn.

    None for what may take longer. Raises what `sniff` raises.
    """
    if name_format(data) != "JPEG":
        return None
    try:
        return sniff(data, USUAL_READS)
    except ServiceError as error:
        if isinstance(error.__cause__, BlockFlood):
            return None
        raise


def sniff(data: bytes, most_reads: int = MAX_READS) -> ImageHeader:
    """Read the header of a picture, of any of READ_HERE, from so many pieces at most.

    The size is as stored: EXIF orientation may swap it. Raises ServiceError: empty-body;
    not-an-image or unsupported-format, naming what was found; invalid-image when the header cannot
    be read or is a flood of small pieces; too-many-pixels when it declares more than any reader
    takes.
    """
    name = _readable_format(data)
    try:
        if name not in READERS:
            declared = largest_size(data)
            if name == "AVIF":
                check_coded_sizes(data, declared)
            return ImageHeader(name, *declared, 1, len(data), name)
        with READERS[name](_Header(data, most_reads)) as picture:
            width, height = picture.size
            frames = _count_frames(name, picture, data)
            form = _form(name, picture)
    except (BlockFlood, BoxError) as error:
        raise ServiceError(Problem.INVALID_IMAGE, f"{name} with {error}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise ServiceError(Problem.TOO_MANY_PIXELS, f"{name} picture: {error}") from error
    except Exception as error:  # readers raise whatever a broken header trips over
        raise ServiceError(
            Problem.INVALID_IMAGE, f"it begins as {name}, but its header is broken or cut short"
        ) from error
    return ImageHeader(name, width, height, frames, len(data), form)


def check_pixels(header: ImageHeader, most: int) -> None:
    """Raise too-many-pixels when the header declares more than `most` (width x height x frames).

    Of HEAVY forms less is read. Many pixels in hardly any bytes are refused, too: they show
    nothing, and take as long as others.
    """
    if header.frames > MAX_FRAMES:
        raise ServiceError(
            Problem.TOO_MANY_PIXELS, f"{header.format} declares more than {MAX_FRAMES} frames"
        )
    frames = f" x {header.frames} frames" if header.frames > 1 else ""
    declared = (
        f"{header.format} of {header.width} x {header.height}{frames} declares "
        f"{header.pixels} pixels"
    )
    allowed = int(most / HEAVY.get(header.form, 1))
    if header.pixels > allowed:
        of_form = f" of {header.form}" if header.form in HEAVY else ""
        raise ServiceError(
            Problem.TOO_MANY_PIXELS, f"{declared}; at most {allowed} are read{of_form}"
        )
    if header.pixels > max(LARGE_PX, header.bytes * MOST_PX_A_BYTE):
        raise ServiceError(
            Problem.TOO_MANY_PIXELS,
            f"{declared} in {header.bytes} bytes, which hold hardly more than one colour; of more "
            f"than {LARGE_PX} pixels at most {MOST_PX_A_BYTE} a byte are read",
        )


def notes_on(found: str | None, declared: str | None) -> list[str]:
    """Say where the declared media type is not that of the format `found`, which decides."""
    if found is None or declared is None or MEDIA_TYPES.get(declared) == found:
        return []
    return [f"declared as {declared[:80]!r}, but read as what its bytes are: {found}"]


def _readable_format(data: bytes) -> str:
    if not data:
        raise ServiceError(Problem.EMPTY_BODY, f"there are no bytes; {SEND_INSTEAD}")
    name = name_format(data)
    # By its bytes alone: names and media types are often wrong.
    if name in READ_HERE:
        return str(name)
    if name in OTHER_PICTURES:
        raise ServiceError(Problem.UNSUPPORTED_FORMAT, f"{name} is not read here; {SEND_INSTEAD}")
    raise ServiceError(
        Problem.NOT_AN_IMAGE, f"found {name or describe_bytes(data)}; {SEND_INSTEAD}"
    )


def _form(name: str, picture: ImageFile) -> str:
    """Name a JPEG that comes in several passes, of which the decoder keeps every coefficient.

    Two for each pixel or more, that is: those with fewer colours than pixels take no more than
    others.
    """
    if not isinstance(picture, JpegImageFile) or "progressive" not in picture.info:
        return name
    sides = [across * down for _, across, down, _ in picture.layer]
    return "progressive JPEG" if sum(sides) >= 2 * max(sides) else name


def _count_frames(name: str, picture: ImageFile, data: bytes) -> int:
    """Count what belongs to one animation; a JPEG's further pictures (MPO) are not its frames."""
    if name == "GIF":
        return max(1, count_gif_frames(data, MAX_FRAMES))
    if name == "JPEG":
        return 1
    if name == "PNG":
        check_png_chunks(data)
    return int(getattr(picture, "n_frames", 1))
