"""Recordings with labels over time, made up on disk: who is learnt from, from what, and the end."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from torch.testing import assert_close

from handlers.affect_setup import load_affect
from handlers.evaluation.affect.evaluate import AffectOptions, evaluate_affect
from handlers.evaluation.affect.recordings import clip_of
from handlers.evaluation.affect.sets import Following, read_material
from handlers.networks.affect import FACE, VOICE, AffectNetworks, variant
from handlers.processing.mel import RATE_HZ, WINDOW
from handlers.processing.mel_stream import MelStream
from handlers.training.affect.faces import Moving
from handlers.training.affect.latent import LatentLearner, Weighing
from handlers.training.affect.recipe import read_affect_recipe
from handlers.training.affect.recorded import (
    RecordingSource,
    Reel,
    learnt_from,
    open_reel,
    read_reels,
)
from handlers.training.affect.recorded_cache import CROP_PX, STORED_PX, write_recording
from handlers.training.affect.recorded_features import feature_clips, fusion_studio
from handlers.training.affect.recorded_frames import (
    FRAMED,
    RecordedFaceBatches,
    RecordedVoiceBatches,
)
from handlers.training.affect.recorded_pieces import Cutting, Piece, cut_pieces
from handlers.training.affect.speech import Recording as Microphone
from handlers.training.affect.stages import start
from handlers.training.datasets.affect.afew_va import read_afew_va
from handlers.training.datasets.affect.clips import Plot
from handlers.training.datasets.affect.records import Recording
from handlers.training.datasets.affect.sewa import read_sewa
from handlers.training.datasets.affect.sound import to_pcm
from handlers.training.datasets.affect.watching import labels_at
from handlers.training.recipe import RecipeError
from handlers.training.train import train

ASSETS, STORE = Path(__file__).parents[1] / "assets", Path(__file__).parents[2] / "model_store"
PEOPLE, RECORDINGS, FRAMES = 6, 12, 10
HEALTHY = Plot(healthy_clips=1.0)
SOURCE = '[recordings]\nfolder = "afew"\nlayout = "afew-va"\n'
HEAD = 'version = "1"\nabout = "a test"\nlicence = "none"\n'
SINGLE = """size = "tiny"
[schedule]
steps = 2
batch = 4
rate = 1e-3
seed = 1
warmup = 1
precision = "32-true"
"""
OVER_TIME = """[[stages]]
frames = 2
steps = 2
batch = 4
[[stages]]
frames = 4
steps = 2
batch = 4
attention = true
"""


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    found = cv2.imread(str(ASSETS / "astronaut.jpg"))
    assert found is not None
    return np.asarray(found, np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, picture: NDArray[np.uint8]) -> Path:
    """AFEW-VA with two clips of each of six people, whose valence tells who they are."""
    root = tmp_path_factory.mktemp("data")
    small = cv2.resize(picture, (160, 160))
    x, y = np.meshgrid(np.linspace(55, 105, 17), np.linspace(20, 70, 4))
    points = np.stack([x, y], axis=-1).reshape(68, 2)
    for clip in range(RECORDINGS):
        person = clip % PEOPLE
        folder = root / "afew" / f"{clip:03}"
        folder.mkdir(parents=True)
        frames = {}
        for index in range(FRAMES):
            cv2.imwrite(str(folder / f"{index:05}.png"), np.roll(small, index, axis=1))
            frames[f"{index:05}"] = {
                "landmarks": (points + [index, 0]).tolist(),
                "valence": person,
                "arousal": index % 5 - 2,
            }
        told = json.dumps({"actor": f"actor {person}", "frames": frames})
        (folder / f"{clip:03}.json").write_text(told)
    return root


@pytest.fixture(scope="module")
def reels(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Reel]:
    return read_reels(data, RecordingSource("afew", "afew-va"), 1.25, tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def spoken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Reel]:
    """The people of AFEW-VA, who have no sound, with a second of it each."""
    folder = tmp_path_factory.mktemp("spoken")
    found = []
    for index, one in enumerate(read_afew_va(data / "afew")[:3]):
        samples = 0.2 * np.random.default_rng(index).standard_normal(RATE_HZ).astype(np.float32)
        soundfile.write(folder / f"{index}.wav", samples, RATE_HZ)
        heard = replace(one, sound=folder / f"{index}.wav")
        found.append(kept(heard, folder / f"{index}.safetensors"))
    return found


def kept(recording: Recording, path: Path) -> Reel:
    write_recording(recording, 1.25, 25.0, None, path)
    return open_reel(path, recording.person, lambda times: labels_at(times, recording))


def tiny(name: str) -> AffectNetworks:
    torch.manual_seed(0)
    return AffectNetworks(variant(name, "tiny", norm="batch")).eval()


def pieces_of(reels: list[Reel], *used: str, plot: Plot = HEALTHY, most: int = 99) -> list[Piece]:
    return cut_pieces(reels, used, plot, Cutting(most, 4, 1))


def write_recipe(path: Path, text: str) -> Path:
    path.write_text(f'name = "{path.stem}"\n{HEAD}{text}')
    return path


@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_whom_evaluation_measures_a_fold_on_is_whom_its_training_never_meets(
    data: Path, tmp_path: Path, fold: int
) -> None:
    measured = read_material(data / "afew", "afew-va", following=Following()).folds[fold - 1]
    held_out = {clip.people["person"] for clip in measured}
    source = RecordingSource("afew", "afew-va", fold=fold)
    learnt = {one.person for one in learnt_from(data, source)}
    assert held_out
    assert learnt.isdisjoint(held_out)
    assert learnt | held_out == {f"actor {person}" for person in range(PEOPLE)}


def test_nobody_of_the_held_out_fold_is_in_a_batch(data: Path, tmp_path: Path) -> None:
    measured = read_material(data / "afew", "afew-va", following=Following()).folds[1]
    held_out = {round(float(clip.labels[0, 0]), 1) for clip in measured}
    learnt = read_reels(data, RecordingSource("afew", "afew-va", fold=2), 1.25, tmp_path)
    batch = RecordedFaceBatches(learnt, FRAMED, None, 0.0)(np.random.default_rng(1), 60)
    drawn = {round(value, 1) for value in batch["label"][:, 0].tolist()}
    assert drawn == {person / 10 for person in range(PEOPLE)} - held_out


def test_a_limit_of_evaluation_leaves_everybody_in_their_fold(data: Path) -> None:
    following = Following()
    whole, part = (
        read_material(data / "afew", "afew-va", limit, following).folds for limit in (None, 9)
    )
    assert sum(map(len, part)) == 9
    for fold, less in zip(whole, part, strict=True):
        assert {clip.name for clip in less} <= {clip.name for clip in fold}


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (RecordingSource("afew", "afew-va", fold=6), "1 to 5"),
        (RecordingSource("afew", "afew-va", fold=1, folds=9), "9 folds"),
        (RecordingSource("afew", "afew-va", part="Train"), "no part"),
        (RecordingSource("afew", "aff-wild2", fold=1), "no fold"),
        (RecordingSource("afew", "movies"), "unknown"),
        (RecordingSource("nowhere", "afew-va"), "nowhere"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(
    data: Path, tmp_path: Path, source: RecordingSource, complaint: str
) -> None:
    with pytest.raises(RecipeError, match=complaint):
        read_reels(data, source, 1.25, tmp_path)


def test_recordings_are_looked_at_once(data: Path, tmp_path: Path) -> None:
    source = RecordingSource("afew", "afew-va")
    first = read_reels(data, source, 1.25, tmp_path)
    before = {one.path: one.path.stat().st_mtime_ns for one in first}
    again = read_reels(data, source, 1.25, tmp_path)
    assert {one.path: one.path.stat().st_mtime_ns for one in again} == before
    wider = read_reels(data, source, 1.5, tmp_path)
    assert {one.path for one in wider}.isdisjoint(before)


def test_the_face_learnt_from_is_the_face_measured_on(data: Path, reels: list[Reel]) -> None:
    clip = clip_of(read_afew_va(data / "afew")[2], 1.25, None)
    piece = pieces_of(reels, FACE)[2]
    for index in (0, 7, FRAMES - 1):
        served = clip.faces[index]
        assert served is not None
        assert np.abs(piece.face(index).astype(int) - served).mean() < 3
    assert reels[2].face(0).shape == (STORED_PX, STORED_PX, 3)
    assert_close(reels[2].labels, clip.labels)


def test_the_window_learnt_from_is_the_window_served(spoken: list[Reel]) -> None:
    samples, _ = soundfile.read(spoken[1].path.with_suffix(".wav"), dtype="float32")
    sound = MelStream().push(to_pcm(samples), 0)
    served, heard = sound.window(float(spoken[1].times_s[9]))
    kept_power = spoken[1].power(9, WINDOW)
    assert heard.any()
    assert_close(kept_power[:, heard], served[:, heard], rtol=2e-3, atol=1e-3)
    assert spoken[1].heard.all()
    assert kept_power[:, 0].max() == 0


def test_silence_and_what_has_no_face_are_not_learnt_from(
    reels: list[Reel], spoken: list[Reel]
) -> None:
    with pytest.raises(RecipeError, match="voice"):
        RecordedVoiceBatches(reels, Microphone(), 0.0)
    blind = [replace(one, seen=np.zeros_like(one.seen)) for one in spoken]
    with pytest.raises(RecipeError, match="face"):
        RecordedFaceBatches(blind, FRAMED, None, 0.0)
    batch = RecordedVoiceBatches(blind, Microphone(), 0.0)(np.random.default_rng(0), 6)
    assert batch["seen"].shape == (6, 3, CROP_PX, CROP_PX)
    assert float(batch["clean"].max()) > -1


def test_labels_without_words_are_learnt_from_without_the_words(reels: list[Reel]) -> None:
    learner = LatentLearner(tiny("vi-de"), Weighing())
    batch = RecordedFaceBatches(reels, Moving(), None, 0.0)(np.random.default_rng(0), 4)
    losses = learner(batch, 0.0)
    losses["loss"].backward()
    assert "words" not in losses
    assert learner.words.weight.grad is None
    assert torch.isfinite(losses["loss"])


def test_pieces_are_runs_of_labels_and_long_enough(reels: list[Reel]) -> None:
    gap = reels[0].labels.copy()
    gap[4:6] = np.nan
    pieces = pieces_of([replace(reels[0], labels=gap), reels[1]], FACE)
    assert [(one.first, len(one)) for one in pieces] == [(0, 4), (6, 4), (0, 10)]
    assert all(np.isfinite(one.labels).all() for one in pieces)
    assert len(pieces_of(reels, FACE, most=2)) == 2
    with pytest.raises(RecipeError, match="more than 40"):
        cut_pieces(reels, (FACE,), HEALTHY, Cutting(9, 40, 1))


def test_stretches_of_pieces_go_bad_as_the_plot_says(spoken: list[Reel]) -> None:
    always = Plot(healthy_clips=0.0, stretches=8, stretch_s=(2.0, 8.0))
    half_a_hz = [replace(one, times_s=50 * one.times_s) for one in spoken]
    cuttings = [Cutting(9, 4, seed) for seed in range(30)]
    harmed = [
        one for cutting in cuttings for one in cut_pieces(half_a_hz, (FACE,), always, cutting)
    ]
    face, voice = (np.concatenate([getattr(one, name) for one in harmed])
                   for name in ("face_health", "voice_health"))  # fmt: skip
    assert {0, 1, 2} == set(face.tolist()) == set(voice.tolist())
    assert not ((face > 0) & (voice > 0)).any()
    bad = next(one for one in harmed if (one.face_health == 1).any())
    index = int(np.argmax(bad.face_health == 1))
    healthy = replace(bad, face_health=np.zeros_like(bad.face_health))
    assert np.abs(bad.face(index).astype(int) - healthy.face(index)).mean() > 1


def test_features_are_those_of_the_networks_and_are_computed_once(
    spoken: list[Reel], tmp_path: Path
) -> None:
    parts = {FACE: tiny("vi-de"), VOICE: tiny("au-de")}
    joined = start(variant("avi-gas", "tiny"), parts)
    pieces = pieces_of(spoken, FACE, VOICE)
    clips = feature_clips(joined, pieces, tmp_path, resume=True)
    assert [clip.features.shape for clip in clips] == [(len(one), 6) for one in pieces]
    assert all(clip.present.all() for clip in clips)
    assert {0 <= float(value) <= 1 for clip in clips for value in clip.gate} == {True}
    (path,) = tmp_path.glob("*.npy")
    before = path.stat().st_mtime_ns
    again = feature_clips(joined, pieces, tmp_path, resume=True)
    assert path.stat().st_mtime_ns == before
    assert_close(np.asarray(again[1].features), np.asarray(clips[1].features))


def test_a_fusion_learns_from_frames_of_both_modalities(spoken: list[Reel], tmp_path: Path) -> None:
    parts = {FACE: tiny("vi-de"), VOICE: tiny("au-de")}
    pieces = pieces_of(spoken, FACE, VOICE)
    studio = fusion_studio(parts, pieces, 10, 1, tmp_path, resume=True)
    assert studio.faces.shape == studio.voices.shape == (10, parts[FACE].planes, 32, 32)
    assert studio.clips[0].has_face.all()
    assert len(studio.gate.face) == len(studio.gate.bad_face) == sum(map(len, pieces))
    mute = [replace(one, heard=np.zeros_like(one.heard)) for one in spoken]
    with pytest.raises(RecipeError, match="no voice"):
        fusion_studio(parts, pieces_of(mute, FACE), 10, 1, tmp_path, resume=True)


@pytest.mark.slow
def test_a_model_over_time_refuses_a_part_that_met_the_held_out_people(
    data: Path, tmp_path: Path
) -> None:
    single = write_recipe(tmp_path / "vi-de.toml", SINGLE + SOURCE + "fold = 2\n")
    assert train(single, data, tmp_path / "runs", tmp_path / "store").is_dir()
    over_time = write_recipe(tmp_path / "vi-des.toml", OVER_TIME + SOURCE + "fold = 1\n")
    with pytest.raises(RecipeError, match="held out"):
        train(over_time, data, tmp_path / "runs", tmp_path / "store")


def test_the_recipes_for_recordings_that_come_along_can_be_read() -> None:
    import handlers.training

    folder = Path(handlers.training.__file__).parent / "recipes"
    read = [read_affect_recipe(path) for path in sorted(folder.glob("sewa-*.toml"))]
    names = [f"sewa-{one.name}" for one in read]
    assert names == [path.stem for path in sorted(folder.glob("sewa-*.toml"))]
    assert len(read) == 6


@pytest.mark.slow
def test_five_folds_are_learnt_and_measured_each_on_its_own_people(
    data: Path, tmp_path: Path
) -> None:
    stores = []
    for fold in range(1, 6):
        store = tmp_path / f"store-{fold}"
        held_out = SOURCE + f"fold = {fold}\n"
        for name, text in (("vi-de", SINGLE), ("vi-des", OVER_TIME)):
            recipe = write_recipe(tmp_path / f"{name}.toml", text + held_out)
            assert train(recipe, data, tmp_path / "runs", store) == store / name
        stores.append(store)
    networks, checkpoint = load_affect(stores[2] / "vi-des")
    assert networks.config.states == 8
    assert checkpoint.config["recipe"]["recordings"]["fold"] == 3
    options = AffectOptions(data / "afew", tuple(stores), layout="afew-va", by_fold=True)
    report = evaluate_affect(options)
    assert [row.name for row in report.rows] == ["vi-de", "vi-des"]
    assert np.isfinite(report.rows[1].mean.arousal.rmse)


@pytest.mark.slow
@pytest.mark.skipif(not (STORE / "dcrt").is_dir(), reason="model_store/dcrt holds no weights yet")
def test_faces_and_voices_of_videos_end_in_a_model_of_both(
    tmp_path: Path, picture: NDArray[np.uint8]
) -> None:
    root = tmp_path / "data" / "sewa"
    for index in range(3):
        write_sewa(root, f"p{index}", picture, index)
    assert [one.person for one in read_sewa(root)] == ["p0", "p1", "p2"]
    source = f'[recordings]\nfolder = "sewa"\nlayout = "sewa"\ntracker = "{STORE}"\n'
    fusion = SINGLE.replace('size = "tiny"\n', "").replace("[schedule]", "[fusion]")
    recipes = {"vi-de": SINGLE, "au-de": SINGLE, "avi-gas": fusion + OVER_TIME}
    for name, text in recipes.items():
        recipe = write_recipe(tmp_path / f"{name}.toml", text + source)
        train(recipe, tmp_path / "data", tmp_path / "runs", tmp_path / "store")
    networks, checkpoint = load_affect(tmp_path / "store" / "avi-gas")
    assert networks.config == variant("avi-gas", "tiny", norm="batch")
    assert set(checkpoint.config["parts"]) == {"vi-de", "au-de"}
    assert len(list((tmp_path / "runs" / "recordings").glob("*.safetensors"))) == 3


def write_sewa(root: Path, name: str, picture: NDArray[np.uint8], seed: int) -> None:
    """Half a second of a face and a second of noise, with labels ten times a second."""
    for folder in ("video", "audio", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    size = (picture.shape[1], picture.shape[0])
    video = str(root / "video" / f"{name}.avi")
    writer = cv2.VideoWriter(video, cv2.VideoWriter.fourcc(*"MJPG"), 25.0, size)
    for index in range(12):
        writer.write(np.roll(picture, 2 * index, axis=1))
    writer.release()
    samples = 0.2 * np.random.default_rng(seed).standard_normal(RATE_HZ)
    soundfile.write(root / "audio" / f"{name}.wav", samples, RATE_HZ)
    rows = "\n".join(f"{i / 10};{i / 10 - 0.3};{seed / 5};0" for i in range(5))
    (root / "labels" / f"{name}.csv").write_text(f"time;arousal;valence;liking\n{rows}\n")
