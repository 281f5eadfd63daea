"""A container's stream into decoded frames, going on after what is damaged (in the child)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_END, RawIOBase
from typing import Any

import av

# PyAV imports these when it meets subtitles, which is too late where no file can be opened.
import av.subtitles.codeccontext
import av.subtitles.stream
from av.container import InputContainer

from service.errors import Problem, ServiceError
from service.media.clips.contents import ClipLimits
from service.media.clips.times import Parts
from service.media.formats import (
    OTHER_PICTURES,
    PICTURES,
    SEND_INSTEAD,
    SNIFFED_BYTES,
    describe_bytes,
    name_format,
)

# FFmpeg's names of the containers that are read; no playlists, no lists of further files.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,wav,mp3,ogg,flac,aac"
READ_HERE = "mp4, mov, webm, mkv, avi, mpg, ts, wav, mp3, ogg, flac or m4a"
# AVFMT_TS_DISCONT: times of the format may leap.
TS_DISCONT = 0x200
TIMED = ("video", "audio")
GUESSED = ("mpeg", "aac")
BUFFER_BYTES = 256 * 1024  # FFmpeg asks for so much at once: fewer calls into Python
# How often a demuxer may fail without a packet between before the rest is given up.
MOST_FAILURES = 50

MATROSKA_HEADER_BYTES = 64
NAMES = {"mpeg": "mpeg", "mpegts": "mpeg", "mpegvideo": "mpeg"}


class FileReader(RawIOBase):
    """A view of an open file with a place of its own, so that two can read one file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0
        self.name = ""

    def readable(self) -> bool:
        """Tell whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Tell whether it can be sought in: yes."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes, all that are left when negative."""
        size = size if size >= 0 else max(0, self._size() - self._at)
        # `pread`: the descriptor is shared with another reader, its own place is not used.
        data = os.pread(self._descriptor, size, self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place counted from the beginning, from here or from the end."""
        base = {SEEK_CUR: self._at, SEEK_END: self._size()}.get(whence, 0)
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._at

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size


@dataclass
class Tally:
    """The counts of a stream: packets to be shown, frames that were, damages, corrupt packets."""

    packets: int = 0
    frames: int = 0
    damages: int = 0
    corrupt: int = 0
    first_pts: int | None = None

    def count(self, packet: Any, hidden: bool) -> None:
        """Count a packet unless it is not meant to be shown; the decoder may need it all the same.

        Packets before the first one need pictures that the file does not hold.
        """
        self.corrupt += packet.is_corrupt
        if not packet.size or packet.is_discard or hidden:
            return
        if self.first_pts is None:
            self.first_pts = packet.pts
        if packet.pts is None or self.first_pts is None or packet.pts >= self.first_pts:
            self.packets += 1

    @property
    def missing(self) -> int:
        """Return how many packets gave no frame; two interlaced pictures may make one frame."""
        return (
            0
            if self.frames * 2 in range(self.packets - 2, self.packets + 1)
            else max(0, self.packets - self.frames)
        )


def open_container(descriptor: int, limits: ClipLimits) -> InputContainer:
    """Open the clip behind a file descriptor; nothing else can be reached from inside it.

    Raises ServiceError: empty-body, not-a-clip, unsupported-clip, invalid-clip, too-many-streams;
    MemoryError.
    """
    options = {
        "format_whitelist": CONTAINERS,
        "protocol_whitelist": "none",
        "max_streams": str(limits.streams + 1),
    }
    _check_no_picture(os.pread(descriptor, SNIFFED_BYTES, 0))
    # The log tells what exceptions do not: which limit or list refused a stream.
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as log:
            container = av.open(
                FileReader(descriptor),
                "r",
                options=options,
                buffer_size=BUFFER_BYTES,
                metadata_errors="replace",  # titles in other codings than UTF-8
            )
    except av.FFmpegError as error:
        raise _why_not(error, descriptor, limits, [line for *_, line in log]) from error
    if len(container.streams) > limits.streams:
        raise _too_many_streams(limits)
    return container


def name_container(container: InputContainer, descriptor: int) -> str:
    """Return mp4, mov, m4a, webm, mkv, avi, mpeg, wav, mp3, ogg, flac or aac."""
    name = container.format.name
    begin = os.pread(descriptor, MATROSKA_HEADER_BYTES, 0)
    if name.startswith("mov"):
        brand = begin[8:12] if begin[4:8] == b"ftyp" else b"qt  "
        return {b"qt  ": "mov", b"M4A ": "m4a"}.get(brand, "mp4")
    if name.startswith("matroska"):
        return "webm" if b"webm" in begin else "mkv"
    return NAMES.get(name, name)


def parts_of(container: InputContainer) -> Parts:
    """Return the moves of a container's packets in time, where it is of several files joined."""
    begin_s = max(0.0, (container.start_time or 0) / av.time_base)
    return Parts(begin_s, leaps=bool(container.format.flags & TS_DISCONT))


def decode(container: InputContainer, stream: Any, tally: Tally, parts: Parts) -> Iterator[Any]:
    """Decode a stream's frames to the end of what can be read, past damaged packets."""
    packets, failures = container.demux(), 0
    while failures < MOST_FAILURES:
        try:
            with av.logging.Capture(local=False) as log:
                packet = next(packets)
            failures = 0
        except StopIteration:
            return
        except MemoryError:
            raise
        except av.FFmpegError:
            # A new demuxer goes on behind the damage; after many failures in a row it is given up.
            tally.damages, failures = tally.damages + 1, failures + 1
            packets = container.demux()
            continue
        # What the container's reader skips it only tells the log.
        tally.damages += any(name == container.format.name for _, name, _ in log)
        if packet.stream.type in TIMED:
            parts.move(packet)
        if packet.stream.index == stream.index:
            tally.count(packet, hidden=_is_hidden(packet))
            yield from _decode_packet(packet, tally)


def start_s(container: InputContainer, stream: Any) -> float:
    """Return time zero of the clip in its container, in seconds: where pictures and sound begin."""
    begin = max(0.0, (container.start_time or 0) / av.time_base)
    if stream.start_time is None:
        return begin
    return min(begin, float(stream.start_time * stream.time_base))


def tells_lengths(container: InputContainer) -> bool:
    """Tell whether a format declares lengths: those of others are FFmpeg's guesses."""
    return not container.format.name.startswith(GUESSED)


def own_duration_s(container: InputContainer, stream: Any) -> float | None:
    """Return the length that a stream declares of itself, in seconds."""
    if stream.duration and tells_lengths(container):
        return float(stream.duration * stream.time_base)
    return None


def duration_s(container: InputContainer, stream: Any) -> float | None:
    """Return the declared length of a stream in seconds, or else of the container, if any."""
    own_s = own_duration_s(container, stream)
    if own_s is not None:
        return own_s
    return container.duration / av.time_base if container.duration else None


def _is_hidden(packet: Any) -> bool:
    """Tell whether a packet holds a picture that is there for others alone: VP8 has it in a bit."""
    context = packet.stream.codec_context
    return bool(packet.size and context and context.name == "vp8" and not bytes(packet)[0] & 16)


def _decode_packet(packet: Any, tally: Tally) -> Iterator[Any]:
    try:
        for frame in packet.decode():
            tally.frames += 1
            tally.damages += frame.is_corrupt
            yield frame
    except MemoryError:
        raise
    except av.FFmpegError:
        tally.damages += 1


def _check_no_picture(data: bytes) -> None:
    """Refuse pictures, some of which FFmpeg would read as a video of one frame."""
    if (name := name_format(data)) not in PICTURES:
        return
    if name in OTHER_PICTURES:
        detail = f"found {name}, a picture that is not read here; {SEND_INSTEAD}, as a photograph"
    else:
        detail = (
            f"found {name}, a picture: send it to /align or /affect as the field `image` or "
            "declared as image/jpeg or the like; in Python by `align` or `affect_photo`"
        )
    raise ServiceError(
        Problem.NOT_A_CLIP,
        f"{detail}; clips are {READ_HERE}; an animation has to be made one of these first",
    )


def _why_not(
    error: av.FFmpegError, descriptor: int, limits: ClipLimits, log: list[str]
) -> Exception:
    if any("max_streams" in line for line in log):
        return _too_many_streams(limits)
    if isinstance(error, MemoryError):
        return error
    data = os.pread(descriptor, SNIFFED_BYTES, 0)
    if not data:
        return ServiceError(Problem.EMPTY_BODY, f"there are no bytes; send {READ_HERE}")
    name = name_format(data)
    found = f"found {name or describe_bytes(data)}; send {READ_HERE}"
    if name is None or not name.endswith((" video", " sound")):
        return ServiceError(Problem.NOT_A_CLIP, found)
    if any("whitelist" in line for line in log):
        return ServiceError(Problem.UNSUPPORTED_CLIP, found)
    return ServiceError(
        Problem.INVALID_CLIP,
        f"it begins as {name}, but what describes its streams is broken or cut off",
    )


def _too_many_streams(limits: ClipLimits) -> ServiceError:
    return ServiceError(
        Problem.TOO_MANY_STREAMS,
        f"it holds more than {limits.streams} streams, as many as a clip may",
    )
