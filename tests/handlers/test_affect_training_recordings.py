"""Recordings with labels over time: who is learnt from, and from what of them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from torch.testing import assert_close

from handlers.evaluation.affect.clips import clip_of
from handlers.evaluation.affect.sets import Following, read_material
from handlers.networks.variants import FACE
from handlers.processing.mel import WINDOW
from handlers.processing.mel_stream import MelStream
from handlers.training.affect.latent import LatentLearner, LatentLossWeights
from handlers.training.affect.made.faces import FaceJitter
from handlers.training.affect.made.speech import Microphone
from handlers.training.affect.recorded.pieces import (
    RecordedFaceBatches,
    RecordedVoiceBatches,
)
from handlers.training.affect.recorded.stored import (
    CROP_PX,
    STORED_PX,
    RecordingSource,
    StoredRecording,
    learnt_from,
    read_stored,
)
from handlers.training.datasets.affect.recordings import read_afew_va
from handlers.training.datasets.affect.speech import to_pcm
from handlers.training.recipe import RecipeError
from tests.handlers.affect_recordings import FRAMES, PEOPLE, pieces_of, tiny, with_sound, write_afew


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_afew(root)
    return root


@pytest.fixture(scope="module")
def stored(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[StoredRecording]:
    return read_stored(data, RecordingSource("afew", "afew-va"), 1.25, tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def spoken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[StoredRecording]:
    return with_sound(data, tmp_path_factory.mktemp("spoken"))


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
    learnt = read_stored(data, RecordingSource("afew", "afew-va", fold=2), 1.25, tmp_path)
    batch = RecordedFaceBatches(learnt, FaceJitter(), None, 0.0)(np.random.default_rng(1), 60)
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
        read_stored(data, source, 1.25, tmp_path)


def test_recordings_are_looked_at_once(data: Path, tmp_path: Path) -> None:
    source = RecordingSource("afew", "afew-va")
    first = read_stored(data, source, 1.25, tmp_path)
    before = {one.path: one.path.stat().st_mtime_ns for one in first}
    again = read_stored(data, source, 1.25, tmp_path)
    assert {one.path: one.path.stat().st_mtime_ns for one in again} == before
    wider = read_stored(data, source, 1.5, tmp_path)
    assert {one.path for one in wider}.isdisjoint(before)


def test_the_face_learnt_from_is_the_face_measured_on(
    data: Path, stored: list[StoredRecording]
) -> None:
    clip = clip_of(read_afew_va(data / "afew")[2], 1.25, None)
    piece = pieces_of(stored, FACE)[2]
    for index in (0, 7, FRAMES - 1):
        served = clip.faces[index]
        assert served is not None
        assert np.abs(piece.face(index).astype(int) - served).mean() < 3
    assert stored[2].face(0).shape == (STORED_PX, STORED_PX, 3)
    assert_close(stored[2].labels, clip.labels)


def test_the_window_learnt_from_is_the_window_served(spoken: list[StoredRecording]) -> None:
    samples, _ = soundfile.read(spoken[1].path.with_suffix(".wav"), dtype="float32")
    sound = MelStream().push(to_pcm(samples), 0)
    served, heard = sound.window(float(spoken[1].times_s[9]))
    kept_power = spoken[1].power(9, WINDOW)
    assert heard.any()
    assert_close(kept_power[:, heard], served[:, heard], rtol=2e-3, atol=1e-3)
    assert spoken[1].heard.all()
    assert kept_power[:, 0].max() == 0


def test_silence_and_what_has_no_face_are_not_learnt_from(
    stored: list[StoredRecording], spoken: list[StoredRecording]
) -> None:
    with pytest.raises(RecipeError, match="voice"):
        RecordedVoiceBatches(stored, Microphone(), 0.0)
    blind = [replace(one, seen=np.zeros_like(one.seen)) for one in spoken]
    with pytest.raises(RecipeError, match="face"):
        RecordedFaceBatches(blind, FaceJitter(), None, 0.0)
    batch = RecordedVoiceBatches(blind, Microphone(), 0.0)(np.random.default_rng(0), 6)
    assert batch["seen"].shape == (6, 3, CROP_PX, CROP_PX)
    assert float(batch["clean"].max()) > -1


def test_labels_without_words_are_learnt_from_without_the_words(
    stored: list[StoredRecording],
) -> None:
    learner = LatentLearner(tiny("vi-de"), LatentLossWeights())
    batch = RecordedFaceBatches(stored, FaceJitter(), None, 0.0)(np.random.default_rng(0), 4)
    losses = learner(batch, 0.0)
    losses["loss"].backward()
    assert "words" not in losses
    assert learner.words.weight.grad is None
    assert torch.isfinite(losses["loss"])


def test_pictures_with_one_label_each_are_learnt_from(
    tmp_path: Path,
) -> None:
    rows = ["subDirectory_filePath,face_x,face_y,face_width,face_height,valence,arousal"]
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.jpg"), np.full((90, 90, 3), 80 * index, np.uint8))
        rows.append(f"{index}.jpg,20,20,60,60,{index / 4},-0.5")
    (tmp_path / "training.csv").write_text("\n".join([*rows, "0.jpg,0,0,9,9,-2,-2"]))
    source = RecordingSource("", "affectnet", part="training.csv")
    (pictures,) = read_stored(tmp_path, source, 1.25, tmp_path / "cache")
    assert [round(float(pictures.face(i).mean()), -1) for i in range(3)] == [0, 80, 160]
    batch = RecordedFaceBatches([pictures], FaceJitter(), None, 0.0)(np.random.default_rng(0), 30)
    assert set(batch["label"][:, 0].tolist()) == {0.0, 0.25, 0.5}


@pytest.mark.slow
def test_what_is_learnt_from_some_people_holds_for_others(tmp_path: Path) -> None:
    write_afew(tmp_path, painted)
    source = RecordingSource("afew", "afew-va", fold=1)
    learnt = read_stored(tmp_path, source, 1.25, tmp_path / "cache")
    everybody = read_stored(tmp_path, replace(source, fold=None), 1.25, tmp_path / "cache")
    others = [one for one in everybody if one.person not in {it.person for it in learnt}]
    batches = RecordedFaceBatches(learnt, FaceJitter(), None, 0.0)
    learner = LatentLearner(tiny("vi-de"), LatentLossWeights(adversarial=0.0, contest=0.0)).train()
    optimizer = torch.optim.AdamW(learner.parameters(), 3e-3)
    for step in range(60):
        losses = learner(batches(np.random.default_rng(step), 24), 0.0)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    shown = RecordedFaceBatches(others, FaceJitter(), None, 0.0)(np.random.default_rng(0), 48)
    networks = learner.eval().networks
    with torch.no_grad():
        maps, _ = networks.encode(FACE, shown["clean"])
        said = networks.step(networks.features(maps), {}).estimate
    for dimension in (0, 1):
        pair = np.stack([said[:, dimension].numpy(), shown["label"][:, dimension].numpy()])
        assert np.corrcoef(pair)[0, 1] > 0.5


def painted(image: NDArray[np.uint8], index: int) -> tuple[int, int]:
    """Paint a frame so that valence can be seen by the mouth, arousal by the brows."""
    valence, arousal = 2 * (index % 5) - 4, 8 * (index // 5) - 4
    image[70 - 4 * (valence + 4) : 75, 50:110] = 0
    if arousal > 0:
        image[15:25, 50:110] = 255
    return valence, arousal
