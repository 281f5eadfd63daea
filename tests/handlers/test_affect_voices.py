"""Voices learned for other channels: readers, augmentation, the network, its recipes."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.testing import assert_close

from handlers.evaluation.affect.harmed import CHANNELS
from handlers.networks.affect import VoiceNetwork, build
from handlers.networks.variants import variant
from handlers.predictors.affect.estimator import Moment
from handlers.predictors.affect.voice import VoiceEstimator, tone_features
from handlers.processing.mel import BANDS, WINDOW, mel_power, pcm_to_samples, without_level
from handlers.processing.mel_stream import MelStream
from handlers.store import load_estimator
from handlers.training.affect.voices.channels import NAMES, by_chance, code, loudness, music, pink
from handlers.training.datasets.affect.speech import EMODB
from handlers.training.train import read_recipe
from tests.handlers.affect_fakes import save_affect
from tests.spoken import RATE_HZ, speech

RECIPES = Path(__file__).parents[2] / "handlers" / "training" / "recipes"
RECIPE = """
kind = "voice"
name = "voice"
version = "0"
about = "a try"
licence = "none"
size = "tiny"
schedule = {steps = 2, batch = 4, rate = 1e-3, seed = 0, warmup = 1, precision = "32-true"}
[[voices]]
set = "ravdess"
folder = "acted"
[[voices]]
set = "emodb"
folder = "german"
actors = ["03"]
"""


@pytest.fixture(scope="module")
def network() -> VoiceNetwork:
    torch.manual_seed(0)
    built = build(variant("voice", "tiny")).eval()
    assert isinstance(built, VoiceNetwork)
    return built


def window(gain_db: float = 0.0) -> np.ndarray:
    """What lies around the middle of three seconds of speech."""
    pcm = (speech(3.2) * 10 ** (gain_db / 20)).astype(np.int16)
    return MelStream().push(pcm, 0).window(1.6)[0]


def test_a_window_says_nothing_of_the_level() -> None:
    loud, faint = without_level(window()), without_level(window(-20))
    assert loud.shape == (BANDS, WINDOW)
    assert loud.min() >= -1
    assert loud.max() <= 1
    assert np.abs(loud - faint).mean() < 0.02
    assert (without_level(np.zeros((BANDS, WINDOW), np.float32)) == -1).all()


def test_rows_of_a_batch_are_independent_and_nothing_above_4_khz_is_heard(
    network: VoiceNetwork,
) -> None:
    windows = torch.rand(3, BANDS, WINDOW) * 2 - 1
    with torch.inference_mode():
        together = network(windows)
        assert_close(torch.cat([network(one[None]) for one in windows]), together)
        windows[:, 88:] = 1
        assert_close(network(windows), together)
    assert (together.abs() < 1).all()


def test_a_voice_has_an_arousal_and_no_valence(network: VoiceNetwork, tmp_path: Path) -> None:
    save_affect(network, tmp_path / "voice", {})
    estimator, _ = load_estimator(tmp_path / "voice")
    heard = estimator.hear(MelStream().push(speech(2.0), 0), 1.0)
    silent = estimator.hear(MelStream().push(np.zeros(RATE_HZ, np.int16), 0), 0.5)
    first, nothing = estimator.read([Moment(voice=heard), Moment(voice=silent)])
    assert silent is None
    assert nothing is None
    assert first is not None
    assert first.used == ("voice",)
    (answer,) = estimator.step([first], [None], [0.0])
    assert answer.valence is None
    assert answer.arousal is not None
    assert -1 < answer.arousal < 1


def hum(pitch_hz: np.ndarray) -> np.ndarray:
    """Harmonics of a pitch that is given at every sample, up to 1 kHz."""
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    many = sum(np.sin(k * phase) for k in range(1, 6))
    return np.asarray(2000 * many, np.int16)


def heard_in(pcm: np.ndarray) -> np.ndarray:
    return tone_features([without_level(MelStream().push(pcm, 0).window(1.6)[0])])[0]


def test_tone_tells_how_harmonic_a_sound_is_and_how_its_pitch_moves() -> None:
    times = np.arange(3 * RATE_HZ) / RATE_HZ
    steady = heard_in(hum(np.full_like(times, 180.0)))
    moving = heard_in(hum(180 * 2 ** (0.5 * np.sin(2 * np.pi * times))))
    noise = heard_in((3000 * np.random.default_rng(0).standard_normal(len(times))).astype(np.int16))
    assert steady.shape == (25,)
    assert moving[22] > steady[22] + 0.1
    assert steady[23] > noise[23] + 0.2
    assert noise[10] > steady[10] + 20


def test_a_line_through_tone_counts_its_share(network: VoiceNetwork, tmp_path: Path) -> None:
    line = [0.0] * 24 + [0.8]
    save_affect(network, tmp_path / "voice", {})
    alone, _ = load_estimator(tmp_path / "voice")
    save_affect(network, tmp_path / "voice", {"line": line, "share": 0.25})
    beside, _ = load_estimator(tmp_path / "voice")
    assert isinstance(alone, VoiceEstimator)
    assert isinstance(beside, VoiceEstimator)
    heard = [without_level(window())]
    wanted = 0.75 * alone.arousal(heard) + 0.25 * 0.8
    np.testing.assert_allclose(beside.arousal(heard), wanted, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_codecs_keep_a_voice_in_its_place_and_about_as_loud(name: str) -> None:
    voice = pcm_to_samples(speech(1.0)).astype(np.float64)
    coded = code(voice, name, np.random.default_rng(0))
    assert abs(len(coded) - len(voice)) < 0.15 * RATE_HZ
    assert abs(10 * np.log10(loudness(coded) / loudness(voice))) < 6


def test_chance_brings_the_same_voice_in_many_ways_and_the_same_by_the_same_seed() -> None:
    rng = np.random.default_rng(1)
    voice, others = pcm_to_samples(speech(1.0)), [pcm_to_samples(speech(1.0, seed=1))]
    pieces = [music(1.5, rng)]
    sent = [
        by_chance(voice.astype(np.float64), np.random.default_rng(seed), others, pieces)
        for seed in (0, 1, 2, 0)
    ]
    assert_close(torch.tensor(sent[0]), torch.tensor(sent[3]))
    assert all(np.abs(one).max() <= 1 for one in sent)
    assert len({round(float(loudness(one.astype(np.float64))), 9) for one in sent}) == 3


def test_noise_falls_by_3_db_an_octave() -> None:
    power = mel_power(pink(4 * RATE_HZ, np.random.default_rng(0)).astype(np.float32)).mean(axis=1)
    # Bands of Slaney's filters hold the mean power of their frequencies: 250 Hz and 4 kHz.
    assert 9 < 10 * np.log10(power[9] / power[90]) < 16


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_of_the_evaluation_keep_the_length(name: str) -> None:
    samples = pcm_to_samples(speech(0.5))
    assert abs(len(CHANNELS[name](samples)) - len(samples)) <= 2


def utter(path: Path, seed: int) -> None:
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, speech(1.0, seed), RATE_HZ)


def test_names_of_emo_db_tell_who_says_what(tmp_path: Path) -> None:
    for name in ("03a01Wa", "10b02Tc", "16a07Lb"):
        utter(tmp_path / "german" / f"{name}.wav", 0)
    (tmp_path / "german" / "readme.wav").touch()
    found = EMODB.read(tmp_path)
    assert [(one.actor, one.emotion) for one in found] == [
        ("03", "anger"),
        ("10", "sadness"),
        ("16", "boredom"),
    ]
    assert found[0].arousal > 0 > found[1].arousal > found[2].arousal
    with pytest.raises(ValueError, match="EMO-DB"):
        EMODB.read(tmp_path / "nothing")


def test_a_recipe_ends_in_a_voice_that_is_served(tmp_path: Path) -> None:
    for seed, name in enumerate(("03-01-05-02-01-01-12", "03-01-04-01-01-01-11")):
        utter(tmp_path / "acted" / f"{name}.wav", seed)
    utter(tmp_path / "german" / "03a01Wa.wav", 2)
    recipe = tmp_path / "voice.toml"
    recipe.write_text(RECIPE)
    read_recipe(recipe).run(tmp_path, tmp_path / "runs", tmp_path / "store", resume=True)
    estimator, checkpoint = load_estimator(tmp_path / "store" / "voice")
    assert isinstance(estimator, VoiceEstimator)
    assert checkpoint.config["recipe"]["voices"][1]["actors"] == ["03"]
    assert (len(checkpoint.config["line"]), checkpoint.config["share"]) == (25, 0.5)


@pytest.mark.parametrize("name", ["voice", "voice-without-emodb", "voice-without-ravdess"])
def test_shipped_recipes_of_voices_can_be_read(name: str) -> None:
    assert read_recipe(RECIPES / f"{name}.toml").name == "voice"
