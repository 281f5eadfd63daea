"""Channels of a voice: rooms, noise, music, other voices, codecs, any level."""

import io
from collections.abc import Sequence
from typing import cast

import av
import librosa
import numpy as np
from av import AudioStream
from numpy.typing import NDArray
from scipy.signal import fftconvolve  # type: ignore[import-untyped]

from handlers.processing.arrays import Floats
from handlers.processing.mel import FULL_SCALE, RATE_HZ
from handlers.training.datasets.affect.speech import mu_law

Samples = NDArray[np.float64]
CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
# Of three ways to play: how fast a note fades, and for how many beats it sounds.
FADING, LASTING = (3.0, 0.6, 6.0), (1.0, 4.0, 0.8)
TAIL_S = 4
TELEPHONE_HZ = 8000
# Encoder, container, sampling rates and bit rates of codecs for talk.
CODECS = {
    "opus": ("libopus", "ogg", (16_000, 24_000, 48_000), (6_000, 8_000, 12_000, 20_000)),
    "aac": ("aac", "adts", (16_000, 22_050, 44_100), (16_000, 24_000, 40_000)),
}
NAMES = ("mulaw", "telephone", *CODECS)
MIC_KNOTS = 6


def pink(count: int, rng: np.random.Generator) -> Samples:
    """Return noise whose power falls by 3 dB an octave, `(count,)` in [-1, 1]."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return _full(np.fft.irfft(spectrum, count))


def music(seconds: float, rng: np.random.Generator) -> Samples:
    """Return four chords in turn with a melody above, in half of the pieces over drums, in
    [-1, 1]."""
    count = int(seconds * RATE_HZ)
    sound = np.zeros(count + TAIL_S * RATE_HZ)
    beat_s, style = rng.uniform(0.3, 0.7), int(rng.integers(3))
    root_hz, bright = rng.uniform(110, 260), rng.uniform(0.8, 1.8)
    time_s, beat = 0.0, 0
    while time_s < seconds:
        chord, at = CHORDS[(beat // 4) % 4], int(time_s * RATE_HZ)
        for step in chord:
            harmonics = int(rng.integers(3, 12))
            pitch, lasting = root_hz * 2 ** (step / 12), beat_s * LASTING[style]
            _add(sound, _note(pitch, lasting, rng, harmonics, FADING[style], bright), at)
        if rng.random() < 0.7:
            pitch = root_hz * 2 * 2 ** (chord[rng.integers(3)] / 12)
            _add(sound, 1.5 * _note(pitch, beat_s * 0.9, rng, 6, 2.0, bright), at)
        time_s, beat = time_s + beat_s, beat + 1
    sound = sound[:count]
    if rng.random() < 0.5:
        sound = _full(sound) + drums(seconds, rng, beat_s) * rng.uniform(0.3, 1.0)
    return _full(sound)


def drums(seconds: float, rng: np.random.Generator, beat_s: float) -> Samples:
    """Return a bass drum on every beat, a snare on every other, a cymbal twice a beat, in
    [-1, 1]."""
    count, length = int(seconds * RATE_HZ), int(0.25 * RATE_HZ)
    sound = np.zeros(count + RATE_HZ)
    since_s = np.arange(length) / RATE_HZ
    time_s, half = 0.0, 0
    while time_s < seconds:
        at = int(time_s * RATE_HZ)
        if half % 2 == 0:
            phase = 50 * since_s + 20 * (1 - np.exp(-since_s * 30)) / 3
            _add(sound, np.sin(2 * np.pi * phase) * np.exp(-12 * since_s), at)
        if half % 4 == 2:
            _add(sound, 0.6 * rng.standard_normal(length) * np.exp(-18 * since_s), at)
        cymbal = rng.standard_normal(length) * np.exp(-60 * since_s)
        _add(sound, 0.25 * np.diff(cymbal, prepend=0), at)
        time_s, half = time_s + beat_s / 2, half + 1
    return _full(sound[:count])


def _note(
    pitch_hz: float,
    seconds: float,
    rng: np.random.Generator,
    harmonics: int,
    fading: float,
    bright: float,
) -> Samples:
    """Return one struck note; harmonics fall with the power `bright` of their number."""
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    sound = np.zeros_like(time_s)
    for number in range(1, harmonics + 1):
        if number * pitch_hz < RATE_HZ / 2:
            phase = 2 * np.pi * number * pitch_hz * time_s + rng.uniform(0, 6)
            sound += np.sin(phase) * number**-bright
    return np.asarray(sound * np.exp(-fading * time_s) * np.minimum(1, time_s / 0.01))


def _add(sound: Samples, part: Samples, at: int) -> None:
    sound[at : at + len(part)] += part


def _full(sound: Samples) -> Samples:
    return np.asarray(sound / np.abs(sound).max())


def by_chance(
    samples: Samples, rng: np.random.Generator, voices: Sequence[Floats], pieces: Sequence[Samples]
) -> Floats:
    """Return a voice at 22 050 Hz `(N,)` as another speaker, room, company, microphone, level and
    codec might bring it; `voices` may talk in the background, `pieces` of music sound."""
    if rng.random() < 0.6:
        # Another speaker: faster or slower, with higher or lower pitch and formants.
        samples = _resampled(samples, RATE_HZ, RATE_HZ * rng.uniform(0.88, 1.14))
    if rng.random() < 0.4:
        samples = _room(samples, rng)
    samples = _colour(_company(samples, rng, voices, pieces), rng)
    samples = samples * np.sqrt(10 ** (rng.uniform(-50, -14) / 10) / loudness(samples))
    if rng.random() < 0.6:
        samples = code(samples, str(rng.choice(NAMES)), rng)
    pcm = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    return np.asarray(pcm / FULL_SCALE, np.float32)


def loudness(samples: Samples) -> float:
    """Return the mean power of the loudest third, in parts of 40 ms."""
    part = RATE_HZ // 25
    powers = np.square(samples)
    parts = np.sort(powers[: len(powers) // part * part].reshape(-1, part).mean(axis=1))
    return float(parts[-max(1, len(parts) // 3) :].mean()) + 1e-12


def code(samples: Samples, name: str, rng: np.random.Generator) -> Samples:
    """Put a voice through a codec of `NAMES` and back."""
    if name in CODECS:
        return _encoded(samples, name, rng)
    there = _resampled(samples, RATE_HZ, TELEPHONE_HZ)
    hz = np.fft.rfftfreq(len(there), 1 / TELEPHONE_HZ)
    lowest_hz = rng.choice([0, 200, 300])
    passed = 1 / (1 + np.exp(-(hz - lowest_hz) / 20))
    there = np.fft.irfft(np.fft.rfft(there) * passed, len(there))
    if name == "mulaw":
        there = mu_law(there)
    return _resampled(there, TELEPHONE_HZ, RATE_HZ)


def _resampled(samples: Samples, rate_hz: float, wanted_hz: float) -> Samples:
    return np.asarray(librosa.resample(samples, orig_sr=rate_hz, target_sr=wanted_hz))


def _encoded(samples: Samples, name: str, rng: np.random.Generator) -> Samples:
    encoder, container, rates, bits = CODECS[name]
    rate_hz, bit_rate = int(rng.choice(rates)), int(rng.choice(bits))
    mono = np.clip(_resampled(samples, RATE_HZ, rate_hz), -1, 1)[None].astype(np.float32)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = cast(AudioStream, out.add_stream(encoder, rate=rate_hz, layout="mono"))
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(mono), "fltp", "mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        to_codec = av.AudioResampler(stream.format, "mono", rate_hz, stream.frame_size or None)
        for part in [*to_codec.resample(frame), *to_codec.resample(None), None]:
            for packet in stream.encode(part):
                out.mux(packet)
    file.seek(0)
    return _decoded(file)


def _decoded(file: io.BytesIO) -> Samples:
    resampler = av.AudioResampler("fltp", "mono", RATE_HZ)
    with av.open(file, "r") as back:
        frames = [part for one in back.decode(audio=0) for part in resampler.resample(one)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def _room(samples: Samples, rng: np.random.Generator) -> Samples:
    """Add an echo that falls by 60 dB in 0.1 to 0.7 s."""
    count = int(rng.uniform(0.1, 0.7) * RATE_HZ)
    echo = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    echo /= np.sqrt(np.square(echo).sum())
    echo *= 10 ** (-rng.uniform(-3, 12) / 20)
    echo[:20] = 0
    echo[0] = 1
    return np.asarray(fftconvolve(samples, echo)[: len(samples)])


def _company(
    samples: Samples, rng: np.random.Generator, voices: Sequence[Floats], pieces: Sequence[Samples]
) -> Samples:
    """Mix a voice with noise, music or other voices, or leave it alone."""
    chance, count = rng.random(), len(samples)
    if chance < 0.3:
        noise = pink(count, rng) if rng.random() < 0.7 else rng.standard_normal(count)
        return _mixed(samples, noise, rng.uniform(5, 30))
    if chance < 0.45:
        piece = pieces[int(rng.integers(len(pieces)))]
        at = rng.integers(len(piece) - count) if len(piece) > count else 0
        return _mixed(samples, np.resize(piece[at:], count), rng.uniform(5, 25))
    if chance < 0.6:
        babble = np.zeros(count)
        for _ in range(rng.integers(1, 4)):
            other = voices[int(rng.integers(len(voices)))]
            babble += np.roll(np.resize(other, count), rng.integers(count))
        return _mixed(samples, babble, rng.uniform(8, 25))
    return samples


def _mixed(samples: Samples, other: Samples, below_db: float) -> Samples:
    factor = np.sqrt(loudness(samples) / loudness(other)) * 10 ** (-below_db / 20)
    return np.asarray(samples + other[: len(samples)] * factor)


def _colour(samples: Samples, rng: np.random.Generator) -> Samples:
    """Put a voice through a microphone that favours some octaves by about 2.5 dB."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(samples), 1 / RATE_HZ), 60) / 60)
    knots = rng.normal(0, 2.5, MIC_KNOTS)
    decibels = np.interp(octaves, np.linspace(0, 7.5, MIC_KNOTS), knots)
    coloured = np.fft.rfft(samples) * 10 ** (decibels / 20)
    return np.asarray(np.fft.irfft(coloured, len(samples)))
