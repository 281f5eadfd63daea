"""Models over time learnt from recordings: pieces, features, fusion, and every fold to its end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch.testing import assert_close

from handlers.evaluation.affect.evaluate import AffectOptions, evaluate_affect
from handlers.networks.variants import FACE, VOICE, variant
from handlers.training.affect.made.clips import ClipEvents
from handlers.training.affect.recorded.features import feature_clips, fusion_studio
from handlers.training.affect.recorded.pieces import PieceCutting, cut_pieces
from handlers.training.affect.recorded.stored import RecordingSource, StoredRecording, read_stored
from handlers.training.affect.single_recipe import load_affect
from handlers.training.affect.stages import start
from handlers.training.datasets.affect.recordings import read_sewa
from handlers.training.recipe import RecipeError
from handlers.training.train import read_recipe, train
from tests.handlers.affect_folders import SINGLE
from tests.handlers.affect_recordings import (
    HEALTHY,
    pieces_of,
    tiny,
    with_sound,
    write_afew,
    write_sewa,
)

STORE = Path(__file__).parents[2] / "model_store"
SOURCE = '[recordings]\nfolder = "afew"\nlayout = "afew-va"\n'
HEAD = 'version = "1"\nabout = "a test"\nlicence = "none"\n'
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


def write_recipe(path: Path, text: str) -> Path:
    kind = "over-time" if "stages" in text else "single-frame"
    path.write_text(f'kind = "{kind}"\nname = "{path.stem}"\n{HEAD}{text}')
    return path


def test_pieces_are_runs_of_labels_and_long_enough(stored: list[StoredRecording]) -> None:
    gap = stored[0].labels.copy()
    gap[4:6] = np.nan
    pieces = pieces_of([replace(stored[0], labels=gap), stored[1]], FACE)
    assert [(one.first, len(one)) for one in pieces] == [(0, 4), (6, 4), (0, 10)]
    assert all(np.isfinite(one.labels).all() for one in pieces)
    assert len(pieces_of(stored, FACE, most=2)) == 2
    with pytest.raises(RecipeError, match="more than 40"):
        cut_pieces(stored, (FACE,), HEALTHY, PieceCutting(9, 40, 1))


def test_stretches_of_pieces_go_bad_as_the_plot_says(spoken: list[StoredRecording]) -> None:
    always = ClipEvents(healthy_clips=0.0, stretches=8, stretch_s=(2.0, 8.0))
    half_a_hz = [replace(one, times_s=50 * one.times_s) for one in spoken]
    cuttings = [PieceCutting(9, 4, seed) for seed in range(30)]
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
    spoken: list[StoredRecording], tmp_path: Path
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


def test_a_fusion_learns_from_frames_of_both_modalities(
    spoken: list[StoredRecording], tmp_path: Path
) -> None:
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
    read = [read_recipe(path) for path in sorted(folder.glob("sewa-*.toml"))]
    names = [f"sewa-{one.name}" for one in read]
    assert names == [path.stem for path in sorted(folder.glob("sewa-*.toml"))]
    assert len(read) == 8


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
    tmp_path: Path,
) -> None:
    root = tmp_path / "data" / "sewa"
    for index in range(3):
        write_sewa(root, f"p{index}", index)
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
