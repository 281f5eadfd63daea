"""Sound as it was recorded: the level of a voice in any channels, and what the reply says of it."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from service.errors import Problem, ServiceError
from tests.service.clip_reading import Found, read

RATE_HZ = 44_100
QUIET = pytest.approx(0, abs=0.5)  # dB


def noise(seed: int = 0, seconds: float = 2.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Noise that comes and goes as syllables do: float32 `(N,)`, about -20 dB of full scale."""
    count = int(seconds * rate_hz)
    wave = np.random.default_rng(seed).normal(0, 0.1, count)
    return (wave * (1 + np.sin(np.arange(count) * 25 / rate_hz)) / 1.22).astype(np.float32)


def write_channels(
    path: Path, channels: list[np.ndarray], layout: str, codec: str, rate_hz: int = RATE_HZ
) -> Path:
    """Write channels `(N,)` each as a file of sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        size = stream.frame_size or 1024
        to_track = av.AudioResampler(stream.format, stream.layout, rate_hz, size)
        samples = np.ascontiguousarray(np.stack(channels, axis=1)).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        for part in [*to_track.resample(frame), *to_track.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def level_db(found: Found) -> float:
    samples = found.sound.astype(np.float64) / 32_768
    return float(10 * np.log10((samples**2).mean()))


VOICE, OTHER, SILENCE = noise(0), noise(1), np.zeros_like(noise())
FAINT = VOICE * 0.05
CHANNELS: dict[str, tuple[str, list[np.ndarray]]] = {
    "both sides": ("stereo", [VOICE, VOICE]),
    "left alone": ("stereo", [VOICE, SILENCE]),
    "right alone": ("stereo", [SILENCE, VOICE]),
    "left of the middle": ("stereo", [VOICE, VOICE * 0.5]),
    "left, its echo on the right": ("stereo", [VOICE, np.roll(VOICE, 500) * 0.1]),
    "opposite phases": ("stereo", [VOICE, -VOICE]),
    "centre of 5.1": ("5.1", [SILENCE, SILENCE, VOICE, SILENCE, SILENCE, SILENCE]),
    "centre of 5.1 amid ambience": (
        "5.1",
        [OTHER * 0.1, -OTHER * 0.1, VOICE, SILENCE, FAINT, FAINT],
    ),
    "front of 5.1": ("5.1", [VOICE, VOICE, SILENCE, SILENCE, SILENCE, SILENCE]),
    "all of 5.1": ("5.1", [VOICE, VOICE, VOICE, SILENCE, VOICE, VOICE]),
    "left of 7.1": ("7.1", [VOICE, *[SILENCE] * 7]),
    "centre of 7.1": ("7.1", [SILENCE, SILENCE, VOICE, *[SILENCE] * 5]),
    "back of quad": ("quad", [SILENCE, SILENCE, VOICE, SILENCE]),
    "centre of 3.0": ("3.0", [SILENCE, SILENCE, VOICE]),
    "low effects alone": ("5.1", [SILENCE, SILENCE, SILENCE, VOICE, SILENCE, SILENCE]),
}


@pytest.mark.parametrize("name", CHANNELS)
async def test_a_voice_keeps_its_level_in_any_channels(name: str, tmp_path: Path) -> None:
    layout, channels = CHANNELS[name]
    mono = await read(write_channels(tmp_path / "mono.wav", [VOICE], "mono", "pcm_s16le"))
    found = await read(write_channels(tmp_path / "many.wav", channels, layout, "pcm_s16le"))
    assert level_db(found) - level_db(mono) == QUIET
    cancelled = any("cancel each other out" in note for note in found.totals.notes)
    assert cancelled == (name == "opposite phases")


async def test_two_people_on_two_microphones_both_keep_their_level(tmp_path: Path) -> None:
    half = len(VOICE) // 2
    first, second = VOICE.copy(), OTHER.copy()
    first[half:], second[:half] = 0, 0
    path = write_channels(tmp_path / "two.wav", [first, second], "stereo", "pcm_s16le")
    mono = await read(write_channels(tmp_path / "mono.wav", [VOICE], "mono", "pcm_s16le"))
    assert level_db(await read(path)) - level_db(mono) == QUIET


CODINGS = {
    "flac": "flac",
    "aac": "mp4",
    "ac3": "mkv",
    "libopus": "ogg",
    "pcm_f32le": "wav",
    "pcm_u8": "wav",
    "pcm_s24le": "wav",
    "alac": "mp4",
    "adpcm_ms": "wav",
}


@pytest.mark.parametrize("codec", CODINGS)
async def test_any_coding_of_the_left_channel_keeps_its_level(codec: str, tmp_path: Path) -> None:
    rate_hz = 48_000 if codec in {"libopus", "ac3"} else RATE_HZ
    voice = noise(rate_hz=rate_hz)
    path = tmp_path / f"clip.{CODINGS[codec]}"
    write_channels(path, [voice, np.zeros_like(voice)], "stereo", codec, rate_hz)
    mono = await read(write_channels(tmp_path / "mono.wav", [voice], "mono", "pcm_s16le", rate_hz))
    assert level_db(await read(path)) - level_db(mono) == pytest.approx(0, abs=1.0)


@pytest.mark.parametrize("gain_db", [0, -12, -20, -40])
async def test_the_level_that_came_in_is_told(gain_db: int, tmp_path: Path) -> None:
    voice = VOICE * 10 ** (gain_db / 20)
    found = await read(write_channels(tmp_path / "clip.wav", [voice], "mono", "pcm_s16le"))
    measures = found.totals.sound
    assert measures is not None
    own_db = 10 * np.log10((voice.astype(np.float64) ** 2).mean())
    assert measures.level_dbfs == pytest.approx(own_db, abs=3.5)  # half is above 11 kHz
    assert measures.level_dbfs == pytest.approx(level_db(found), abs=0.2)
    peak = np.abs(found.sound.astype(int)).max() / 32_768
    assert measures.peak_dbfs == pytest.approx(20 * np.log10(peak), abs=0.01)
    assert any("is faint" in note for note in found.totals.notes) == (gain_db < -30)


@pytest.mark.parametrize(
    ("source_hz", "low", "high", "narrow"),
    [(44_100, 10_500, 11_025, False), (16_000, 7_500, 8_000, False), (8_000, 3_600, 4_000, True)],
)
async def test_the_band_that_came_in_is_told(
    source_hz: int, low: float, high: float, narrow: bool, tmp_path: Path
) -> None:
    voice = noise(rate_hz=source_hz)
    found = await read(write_channels(tmp_path / "a.wav", [voice], "mono", "pcm_s16le", source_hz))
    assert found.totals.sound is not None
    assert low <= (found.totals.sound.band_hz or 0) <= high
    assert any("as over a telephone" in note for note in found.totals.voice_notes) == narrow
    assert any("is narrow" in note for note in found.totals.notes) == narrow


async def test_a_telephones_band_is_told_whatever_rate_it_is_stored_at(tmp_path: Path) -> None:
    spectrum = np.fft.rfft(VOICE)
    spectrum[np.fft.rfftfreq(len(VOICE), 1 / RATE_HZ) > 3_400] = 0
    voice = np.fft.irfft(spectrum).astype(np.float32)
    found = await read(write_channels(tmp_path / "a.flac", [voice], "mono", "flac"))
    assert found.totals.sound is not None
    assert 3_200 <= (found.totals.sound.band_hz or 0) <= 3_700
    assert any("as over a telephone" in note for note in found.totals.voice_notes)


async def test_silence_is_said_to_be_silent(tmp_path: Path) -> None:
    path = write_channels(tmp_path / "a.wav", [SILENCE, SILENCE], "stereo", "pcm_s16le")
    found = await read(path)
    assert found.totals.notes == ("its sound is silent",)
    assert found.totals.sound is not None
    assert found.totals.sound.level_dbfs is found.totals.sound.band_hz is None


def wave_of(channels: int) -> bytes:
    """Return a WAVE file of any number of channels."""
    data = bytes(channels * 2 * 4000)
    form = (1).to_bytes(2, "little") + channels.to_bytes(2, "little")
    form += (8000).to_bytes(4, "little") + (8000 * channels * 2).to_bytes(4, "little")
    form += (channels * 2).to_bytes(2, "little") + (16).to_bytes(2, "little")
    body = b"WAVEfmt " + len(form).to_bytes(4, "little") + form
    body += b"data" + len(data).to_bytes(4, "little") + data
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("channels", [3, 16, 32, 63])
async def test_many_channels_are_read(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wave_of(channels))
    found = await read(path)
    assert found.info.sound is not None
    assert found.info.sound.channels == channels
    assert len(found.sound) == pytest.approx(11_025, abs=10)


@pytest.mark.parametrize("channels", [64, 96, 500])
async def test_more_channels_than_can_be_mixed_are_refused_with_the_reason(
    channels: int, tmp_path: Path
) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wave_of(channels))
    with pytest.raises(ServiceError, match=f"{channels} channels") as caught:
        await read(path)
    assert caught.value.problem is Problem.UNSUPPORTED_CLIP


async def test_a_title_that_is_no_utf8_changes_nothing(tmp_path: Path) -> None:
    path = write_channels(tmp_path / "clip.wav", [VOICE], "mono", "pcm_s16le")
    title = "Caf\u00e9".encode("latin-1")
    tags = b"INFOINAM" + len(title).to_bytes(4, "little") + title
    data = path.read_bytes() + b"LIST" + len(tags).to_bytes(4, "little") + tags
    path.write_bytes(b"RIFF" + (len(data) - 8).to_bytes(4, "little") + data[8:])
    found = await read(path)
    assert found.totals.complete
    assert found.totals.duration_s == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_f64le"])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
async def test_samples_that_are_no_numbers_are_silent_and_counted(
    codec: str, layout: str, tmp_path: Path
) -> None:
    channels = [VOICE.copy() for _ in range({"mono": 1, "stereo": 2}[layout])]
    whole = await read(write_channels(tmp_path / "whole.wav", channels, layout, codec))
    assert whole.totals.complete
    for channel in channels:
        channel[1000:1010], channel[5000:5005] = np.nan, np.inf
    found = await read(write_channels(tmp_path / "a.wav", channels, layout, codec))
    assert not found.totals.complete
    count = 15 * len(channels)
    assert any(f"no finite numbers: {count} " in note for note in found.totals.notes)
    assert level_db(found) == pytest.approx(level_db(whole), abs=0.1)
