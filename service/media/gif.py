"""The number of frames in a GIF, counted by skipping from block to block; nothing is decoded."""

EXTENSION, FRAME = 0x21, 0x2C
HEADER_BYTES, DESCRIPTOR_BYTES = 13, 10


def count_frames(data: bytes, most: int) -> int:
    """Return how many frames the GIF in `data` holds, `most` + 1 standing for any more.

    Counting ends quietly where the file does, whether at its trailer or cut short.
    """
    position, frames = HEADER_BYTES + _table_bytes(data, 10), 0
    while position < len(data) and frames <= most:
        if data[position] == EXTENSION:
            position = _skip_blocks(data, position + 2)
        elif data[position] == FRAME:
            frames += 1
            table = _table_bytes(data, position + DESCRIPTOR_BYTES - 1)
            position = _skip_blocks(data, position + DESCRIPTOR_BYTES + table + 1)
        else:
            break
    return frames


def _table_bytes(data: bytes, flags_at: int) -> int:
    """Return the size of the colour table that the flags at this place announce."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(data: bytes, position: int) -> int:
    """Return the place behind a chain of blocks, each led by its length and ended by a zero."""
    while position < len(data) and data[position]:
        position += data[position] + 1
    return position + 1
