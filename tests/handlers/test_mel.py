"""Mel power of a whole signal, and what the networks are shown of it."""

import importlib
import warnings
from types import ModuleType

import numpy as np
import pytest

from handlers.processing.mel import (
    BANDS,
    REFERENCE,
    SILENCE_DB,
    columns_power,
    filter_bank,
    level_db,
    mel_power,
    pcm_to_samples,
    share_with_sound,
    to_network,
)


@pytest.fixture(scope="module")
def librosa() -> ModuleType:
    """What the spectrogram is measured by; it takes seconds to import."""
    return importlib.import_module("librosa")


def signal(samples: int, seed: int = 0) -> np.ndarray:
    """Noise with a swept tone in it, float32 in [-1, 1]."""
    rng = np.random.default_rng(seed)
    times = np.arange(samples) / 22_050
    tone = np.sin(2 * np.pi * (200 + 900 * times) * times)
    return (0.4 * tone + 0.05 * rng.standard_normal(samples)).astype(np.float32)


@pytest.mark.slow
def test_the_filter_bank_is_librosas(librosa: ModuleType) -> None:
    expected = librosa.filters.mel(sr=22_050, n_fft=2048, n_mels=128)
    np.testing.assert_allclose(filter_bank(), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 511, 512, 2048, 22_050, 600_000])
def test_mel_power_is_librosas_from_the_first_column_to_the_last(
    samples: int, librosa: ModuleType
) -> None:
    sound = signal(samples)
    with warnings.catch_warnings(action="ignore"):  # it warns of signals shorter than a column
        expected = librosa.feature.melspectrogram(
            y=sound, sr=22_050, n_fft=2048, hop_length=512, n_mels=128, pad_mode="constant"
        )
    found = mel_power(sound)
    assert found.shape == expected.shape == (BANDS, 1 + samples // 512)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_no_columns_are_asked_of_no_samples() -> None:
    assert columns_power(np.zeros(0, np.float32), 0).shape == (0, BANDS)


@pytest.mark.slow
def test_decibels_are_librosas_brought_to_minus_one_to_one(librosa: ModuleType) -> None:
    power = mel_power(signal(22_050))
    decibels = librosa.power_to_db(power, ref=float(REFERENCE), amin=1e-12, top_db=None)
    expected = np.clip(decibels, -80, 0) / 40 + 1
    np.testing.assert_allclose(to_network(power), expected, atol=1e-4)


def test_the_clips_maximum_can_be_the_reference_as_in_the_thesis() -> None:
    power = mel_power(signal(22_050) / 50)
    expected = np.maximum(10 * np.log10(power / power.max()), -80) / 40 + 1
    np.testing.assert_allclose(to_network(power, power.max()), expected, atol=1e-4)
    assert to_network(power).max() < to_network(power, power.max()).max() == 1


def test_nothing_heard_and_nothing_but_zeros_lie_at_the_floor() -> None:
    nothing = np.zeros((BANDS, 4), np.float32)
    np.testing.assert_array_equal(to_network(nothing), -1)
    np.testing.assert_array_equal(to_network(nothing, nothing.max()), -1)


def test_a_sine_at_full_scale_has_about_the_reference_power() -> None:
    sine = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050).astype(np.float32)
    assert abs(10 * np.log10(mel_power(sine).max() / REFERENCE)) < 6


def test_level_tells_speech_from_a_quiet_room() -> None:
    rng = np.random.default_rng(3)
    room = (1e-4 * rng.standard_normal(44_100)).astype(np.float32)
    speech = signal(44_100) / 20
    assert level_db(mel_power(room)).max() < SILENCE_DB < level_db(mel_power(speech)).min()


def test_the_share_with_sound_counts_columns_that_are_heard_and_loud() -> None:
    power = mel_power(signal(22_050))[:, 4:24]
    power[:, :5] = 0
    heard = np.ones(20, np.bool_)
    heard[10:] = False
    assert share_with_sound(power, heard) == 5 / 20


def test_pcm_fills_minus_one_to_one() -> None:
    pcm = np.array([-32_768, 0, 16_384], np.int16)
    np.testing.assert_array_equal(pcm_to_samples(pcm), np.array([-1, 0, 0.5], np.float32))
