"""GIF and PNG walked from block to block: how many frames, and that the blocks are not a flood.

A file of a few megabytes can hold a million blocks, each of which costs a reader as much as a real
one. So their number is bounded by the file's length, far above what any writer makes.
"""

from collections.abc import Iterator

FEWEST_REFUSED, BYTES_PER_BLOCK = 1000, 128
GIF_EXTENSION, GIF_FRAME = 0x21, 0x2C
GIF_HEADER_BYTES, GIF_DESCRIPTOR_BYTES = 13, 10
PNG_SIGNATURE_BYTES, PNG_CHUNK_BYTES = 8, 12


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
