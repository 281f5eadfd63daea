"""AV1 as AVIF holds it into the sizes that its pictures are coded in, whatever boxes declare."""

from collections.abc import Iterator, Sequence

# Stretches of a file, beginning and end, that hold one picture when they are put together.
Stretches = Sequence[tuple[int, int]]

SEQUENCE_HEADER, MOST_UNITS, MOST_HEADER_BYTES = 1, 1000, 256
TIER_FROM_LEVEL = 7


def coded_sizes(data: bytes, stretches: Stretches) -> Iterator[tuple[int, int]]:
    """Yield width and height of every sequence header in one picture."""
    at = 0
    for _ in range(MOST_UNITS):
        head = _read(data, stretches, at, 10)
        if not head:
            return
        begin, length = 1 + bool(head[0] & 4), None
        if head[0] & 2:
            length, used = _leb128(head[begin:])
            begin += used
        if head[0] >> 3 & 15 == SEQUENCE_HEADER:
            count = MOST_HEADER_BYTES if length is None else min(length, MOST_HEADER_BYTES)
            yield _largest_frame(_read(data, stretches, at + begin, count))
        if length is None:
            return
        at += begin + length


def _read(data: bytes, stretches: Stretches, at: int, count: int) -> bytes:
    """Return bytes of stretches that follow each other."""
    found = b""
    for begin, end in stretches:
        size = max(0, end - begin)
        if at < size:
            found += data[begin + at : min(end, begin + at + count - len(found))]
        at = max(0, at - size)
        if len(found) >= count:
            break
    return found


def _leb128(data: bytes) -> tuple[int, int]:
    """Return a number and its bytes, seven bits in each."""
    value = 0
    for place, byte in enumerate(data[:8]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, place + 1
    return value, len(data[:8])


class _Bits:
    """Numbers of so many bits, one after the other; behind the end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        shifted = self._bits >> self._left if self._left >= 0 else self._bits << -self._left
        return shifted & ((1 << count) - 1)

    def skip_number(self) -> None:
        """Pass a number that tells its own length by zeros."""
        zeros = 0
        while self._left > 0 and not self.take(1):
            zeros += 1
        self.take(min(zeros, 32))


def _largest_frame(header: bytes) -> tuple[int, int]:
    """Read a sequence header (AV1 specification, 5.5.1) up to its largest frame."""
    bits = _Bits(header)
    bits.take(4)  # the profile, and whether it is a still picture
    if bits.take(1):
        bits.take(5)
    else:
        _skip_operating_points(bits, _skip_timing(bits))
    across, down = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(across) + 1, bits.take(down) + 1


def _skip_timing(bits: _Bits) -> int:
    """Pass what is said of times; return how many bits a delay takes, 0 where there are none."""
    if not bits.take(1):
        return 0
    bits.take(64)
    if bits.take(1):
        bits.skip_number()
    if not bits.take(1):
        return 0
    delay_bits = bits.take(5) + 1
    bits.take(42)
    return delay_bits


def _skip_operating_points(bits: _Bits, delay_bits: int) -> None:
    delays_shown = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > TIER_FROM_LEVEL:
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if delays_shown and bits.take(1):
            bits.take(4)
