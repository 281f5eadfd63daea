"""The contents of a clip, as the child process finds them and the service hands them on."""

from dataclasses import dataclass

PADDING_S = 0.5  # coders pad the end of a clip with so much
RATE_HZ, SAMPLE_BYTES = 22_050, 2  # of sound
# How far beyond its own time a moment hears: half a window of the spectrogram, and a little.
AHEAD_S = 1.55


@dataclass(frozen=True)
class ClipLimits:
    """Bounds of one clip; `stall_s` is the longest wait for the next chunk."""

    duration_s: float = 600.0
    pixels: int = 3840 * 2160
    frames: int = 72_000
    streams: int = 32
    memory_bytes: int = 768 * 2**20
    cpu_s: int = 300
    stall_s: float = 20.0

    def is_too_long(self, end_s: float) -> bool:
        """Tell whether a clip that reaches `end_s` is longer than it may; coders pad a little."""
        return end_s > self.duration_s + PADDING_S


@dataclass(frozen=True)
class Sampling:
    """The reading of a clip: `rate_hz` pictures a second at most, no side over `max_side` pixels.

    An infinite rate reads every frame.
    """

    rate_hz: float = 25.0
    max_side: int = 640


@dataclass(frozen=True)
class SoundInfo:
    """The sound track as declared; `expected_s` is None where its length is not."""

    codec: str
    sample_rate_hz: int
    channels: int
    expected_s: float | None


@dataclass(frozen=True)
class SoundMeasures:
    """The sound as it came, its channels mixed: level (RMS) and peak in dB of full scale, and band.

    `band_hz` is the highest frequency that is heard, at most half the working rate. What silence
    does not tell is None.
    """

    level_dbfs: float | None
    peak_dbfs: float | None
    band_hz: float | None


@dataclass(frozen=True)
class ClipInfo:
    """A clip as declared: what is None is not.

    `format` is mp4, mov, m4a, webm, mkv, avi, mpeg, wav, mp3, ogg, flac or aac. `width` and
    `height` are pixels of the upright picture; `rotation_deg` turned it upright, clockwise. Sound
    alone has no width, height, codec and expected frames.
    """

    format: str
    duration_s: float | None
    codec: str | None
    width: int | None
    height: int | None
    rotation_deg: int
    expected_frames: int | None
    sound: SoundInfo | None


@dataclass(frozen=True)
class Picture:
    """An upright picture: `height` rows of `width` RGB pixels, uint8, without gaps.

    `scale` brings the clip's upright pixels to those of this picture: divide by it to go back.
    """

    width: int
    height: int
    rgb: bytes
    scale: float


@dataclass(frozen=True)
class ClipFrame:
    """One moment, in seconds of the clip, and the number of its frame in the file, from 0.

    Where there is sound alone, there is neither picture nor number.
    """

    time_s: float
    picture: Picture | None
    number: int | None = None


@dataclass(frozen=True)
class Sound:
    """16-bit little-endian mono PCM at 22 050 Hz; `start` counts samples from time zero of
    its clip or stream."""

    start: int
    pcm: bytes

    @property
    def end(self) -> int:
        """The first sample after it."""
        return self.start + len(self.pcm) // SAMPLE_BYTES

    @property
    def seconds(self) -> float:
        """Its length, in seconds."""
        return len(self.pcm) / SAMPLE_BYTES / RATE_HZ

    def between(self, start: int, end: int) -> "Sound":
        """Return the part from `start` to before `end`; empty where there is none."""
        first, last = max(start, self.start), min(end, self.end)
        cut = slice((first - self.start) * SAMPLE_BYTES, (last - self.start) * SAMPLE_BYTES)
        return Sound(first, self.pcm[cut] if first < last else b"")


@dataclass(frozen=True)
class ClipChunk:
    """Up to 8 moments, and the sound from where the last chunk's ended to 1.55 s beyond them.

    Sound is None where there is none. A hole in it is filled with zeros.
    """

    frames: tuple[ClipFrame, ...]
    sound: Sound | None


@dataclass(frozen=True)
class ClipTotals:
    """A clip as it was found, known when all of it has been read.

    `complete` is False where pictures or sound were damaged or ended before they should, None where
    nothing says whether the end is missing; `notes` tell people what is missing, and what was done
    to what is there, `voice_notes` what concerns those alone who listen to a voice in it.
    """

    decoded_frames: int
    expected_frames: int | None
    used_frames: int
    decoded_sound_s: float | None
    duration_s: float
    damages: int
    complete: bool | None
    notes: tuple[str, ...] = ()
    voice_notes: tuple[str, ...] = ()
    sound: SoundMeasures | None = None
