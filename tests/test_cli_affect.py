"""Promises of `countenance affect`, with a service around a model that counts, and real networks.

Nothing here depends on how good the networks are.
"""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from typer.testing import CliRunner

from service.cli import app
from service.settings import Settings
from tests.client.conftest import RunningService
from tests.made_clips import make_clip
from tests.made_pictures import encoded
from tests.service.feeling import CountingAffect

TIMES_S = [number / 25 for number in range(10)]


@pytest.fixture
def service() -> Iterator[RunningService]:
    running = RunningService(CountingAffect())
    yield running
    running.stop()


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "talk.mp4"
    return make_clip(path, TIMES_S, 160, 120, sound_s=0.5)


def run(*arguments: object, stdin: bytes | None = None) -> Any:
    return CliRunner().invoke(app, ["affect", *map(str, arguments)], input=stdin)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.slow
def test_every_frame_has_a_row_with_its_own_time(talk: Path, service: RunningService) -> None:
    result = run(talk, "--csv", "--url", service.url)
    assert result.exit_code == 0, result.stderr
    rows = rows_of(result.stdout)
    assert [float(row["timestamp"]) for row in rows] == pytest.approx(TIMES_S)
    assert {row["clip"] for row in rows} == {str(talk)}
    assert all(-1 <= float(row["valence"]) <= 1 for row in rows)
    assert {row["face"] for row in rows} == {"1"}


def test_a_photograph_is_answered_with_a_row_a_face(
    service: RunningService, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encoded(Image.new("RGB", (160, 120)), "JPEG"))
    result = run(photo, "--csv", "--url", service.url)
    assert result.exit_code == 0, result.stderr
    (row,) = rows_of(result.stdout)
    assert (row["clip"], row["frame"], row["face_id"]) == (str(photo), "1", "1")
    assert -1 <= float(row["valence"]) <= 1
    for_people = run(photo, "--url", service.url)
    assert "1 face" in for_people.stdout
    assert "valence" in for_people.stdout


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(encoded(Image.new("RGB", (160, 120)), "JPEG"))
    return folder


def test_photographs_with_tables_are_done_and_have_no_plots(
    service: RunningService, photos: Path, tmp_path: Path
) -> None:
    out, plots = tmp_path / "out", tmp_path / "plots"
    arguments = (photos, "--csv", "--out", out, "--plot", plots, "--url", service.url)
    first, second = run(*arguments), run(*arguments)
    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr
    assert first.stderr.count("none was drawn of photographs, 2 here") == 1
    assert "2 of 2 photographs done." in first.stderr
    assert "2 of 2 photographs were done before" in second.stderr
    assert len(service.models.photographs) == 2
    assert not plots.exists()


def test_a_plot_of_one_photograph_is_refused(
    service: RunningService, photos: Path, tmp_path: Path
) -> None:
    result = run(photos / "a.jpg", "--plot", tmp_path / "p.svg", "--url", service.url)
    assert result.exit_code == 1
    assert "is a photograph, which has no plot" in result.stderr


def test_people_get_a_line(talk: Path, service: RunningService) -> None:
    result = run(talk, "--url", service.url, "--variant", "vi", "--rate-hz", "12.5")
    assert result.stdout.startswith(f"{talk}: 5 frames in 0.")
    assert "valence +0." in result.stdout
    assert "mostly positive-active; face in 100%" in result.stdout
    assert service.models.last.options["variant"] == "vi"


def test_lines_of_json_come_in_order_and_name_their_clip(
    talk: Path, service: RunningService
) -> None:
    result = run(talk, "--ndjson", "--url", service.url)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["clip", *["frame"] * 10, "summary"]
    assert {line["path"] for line in lines} == {str(talk)}


def test_a_clip_is_one_json_object(talk: Path, service: RunningService) -> None:
    result = run("-", "--json", "--url", service.url, stdin=talk.read_bytes())
    assert result.exit_code == 0, (result.stderr, result.exception)
    (line,) = result.stdout.splitlines()
    body = json.loads(line)
    assert (body["path"], len(body["frames"]), body["clip"]["format"]) == ("-", 10, "mp4")


@pytest.mark.slow
def test_a_folder_is_done_once_with_tables_and_timelines(
    talk: Path, tmp_path: Path, service: RunningService
) -> None:
    clips, out, drawn = tmp_path / "clips", tmp_path / "out", tmp_path / "drawn"
    clips.mkdir()
    shutil.copy(talk, clips / "good.mp4")
    (clips / "bad.mp4").write_text("no clip")
    arguments = (clips, "--out", out, "--plot", drawn, "--url", service.url)
    first = run(*arguments)
    steps = service.models.steps
    second = run(*arguments)
    assert (first.exit_code, second.exit_code) == (1, 1)
    assert "bad.mp4: The bytes are neither" in first.stderr
    assert "1 of 2 clips were done before" in second.stderr
    assert service.models.steps == steps
    assert [path.name for path in out.iterdir()] == ["good.csv"]
    assert len(rows_of((out / "good.csv").read_text())) == 10
    assert ElementTree.parse(drawn / "good.svg").getroot().tag.endswith("svg")


def test_forms_exclude_each_other(talk: Path) -> None:
    result = run(talk, "--csv", "--ndjson")
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped models, and beside them affect networks with weights of chance."""
    fakes = pytest.importorskip("tests.handlers.affect_fakes")
    folder = tmp_path_factory.mktemp("store")
    for model in Settings().model_store.absolute().iterdir():
        if model.name in {"dcrt", "dfa", "face_shape", "mtcnn", "silero"}:
            (folder / model.name).symlink_to(model)
    fakes.save(folder / "avi-gas")
    return folder


@pytest.mark.slow
def test_the_models_here_see_and_hear_a_clip(talk: Path, store: Path, tmp_path: Path) -> None:
    plot = tmp_path / "talk.svg"
    result = run(talk, "--csv", "--plot", plot, "--model-store", store)
    assert result.exit_code == 0, result.stderr
    rows = rows_of(result.stdout)
    assert [float(row["timestamp"]) for row in rows] == pytest.approx(TIMES_S)
    assert {row["face"] for row in rows} == {"1"}
    assert all(-1 <= float(row["valence"]) <= 1 for row in rows)
    assert "<image" not in plot.read_text(), "a face is shown to nobody who did not ask for it"


@pytest.mark.slow
def test_without_affect_networks_the_store_is_named(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    result = run(talk, "--model-store", tmp_path / "store")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the model")
    assert result.stderr.count("\n") == 1
