"""Promises of `countenance track`, with a service around a model that counts, and the real one."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from tests.client.conftest import RunningService
from tests.made_clips import make_clip, read_times
from tests.service.counting import outputs

UNEVEN_S = [0.0, 0.04, 0.08, 0.2, 0.24, 0.5]


@pytest.fixture
def service() -> Iterator[RunningService]:
    running = RunningService()
    yield running
    running.stop()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "walk.mp4", UNEVEN_S)


def run(*arguments: object, stdin: bytes | None = None) -> Any:
    return CliRunner().invoke(app, ["track", *map(str, arguments)], input=stdin)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.slow
def test_every_frame_has_a_row_with_openface_columns_and_its_own_time(
    clip: Path, service: RunningService
) -> None:
    result = run(clip, "--csv", "--url", service.url)
    assert result.exit_code == 0, result.stderr
    rows = rows_of(result.stdout)
    assert [float(row["timestamp"]) for row in rows] == UNEVEN_S
    assert [row["frame"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert {(row["clip"], row["face_id"], row["success"]) for row in rows} == {
        (str(clip), "1", "1")
    }
    assert {"confidence", "pose_Rx", "x_0", "y_67", "box_x1", "status"} <= rows[0].keys()


def test_frames_are_one_session_from_first_to_last_which_then_ends(
    clip: Path, service: RunningService
) -> None:
    result = run(clip, "--json", "--url", service.url, "--max-faces", "2", "--smoothing")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    widths = [line["faces"][0]["box"][2] - line["faces"][0]["box"][0] for line in lines]
    assert widths == [1, 2, 3, 4, 5, 6]  # the counting model's boxes are as wide as its steps
    assert [line["time_s"] for line in lines] == UNEVEN_S
    options = service.models.last.options
    assert (options["max_faces"], options["smoothing"]) == (2, True)


@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_notes_that_a_form_has_no_place_for_are_on_stderr(
    form: str, tmp_path: Path, service: RunningService
) -> None:
    clip = make_clip(tmp_path / "hole.mp4", [0.0, 0.04, 3.0, 3.04])
    result = run(clip, form, "--url", service.url)
    told = f"{clip}: note: there is no picture for 2.96 s after 0.04 s"
    assert told in result.stderr.splitlines()
    assert "no picture" not in result.stdout
    assert "note: there is no picture" in run(clip, "--url", service.url).stdout


@pytest.mark.slow
def test_a_frame_without_a_face_has_a_row_that_says_so(
    clip: Path, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.service.counting.outputs",
        lambda *told: {**outputs(*told), "faces": [], "status": "searching"},
    )
    rows = rows_of(run(clip, "--csv", "--url", service.url).stdout)
    assert {(row["face_id"], row["success"], row["status"]) for row in rows} == {
        ("0", "0", "searching")
    }
    assert rows[0]["x_0"] == ""


@pytest.mark.slow
@pytest.mark.parametrize("size", [(320, 240), (161, 121)])
def test_a_drawn_clip_keeps_times_and_size(
    size: tuple[int, int], tmp_path: Path, service: RunningService
) -> None:
    clip = make_clip(tmp_path / "walk.mp4", UNEVEN_S, *size)
    result = run(clip, "--overlay", tmp_path / "drawn.mp4", "--url", service.url)
    assert result.exit_code == 0, result.stderr
    times_s, found = read_times(tmp_path / "drawn.mp4")
    assert found == size
    assert times_s == pytest.approx(UNEVEN_S, abs=1e-4)
    assert "walk.mp4: 6 frames in 0.5 s, 1 face; followed in 6" in result.stdout


@pytest.mark.slow
def test_a_folder_is_done_once_and_what_failed_is_told(
    clip: Path, tmp_path: Path, service: RunningService
) -> None:
    clips, out, drawn = tmp_path / "clips", tmp_path / "out", tmp_path / "drawn"
    clips.mkdir()
    shutil.copy(clip, clips / "good.mp4")
    (clips / "bad.mp4").write_bytes(clip.read_bytes()[:200])
    (clips / "notes.txt").touch()
    arguments = (clips, "--csv", "--out", out, "--overlay", drawn, "--url", service.url)
    first = run(*arguments)
    steps = service.models.steps
    second = run(*arguments)
    assert (first.exit_code, second.exit_code) == (1, 1)
    assert "bad.mp4: " in first.stderr
    assert "1 of 2 clips failed" in first.stderr
    assert "1 of 2 clips were done before" in second.stderr
    assert service.models.steps == steps == 6
    assert [path.name for path in out.iterdir()] == ["good.csv"]
    assert [path.name for path in drawn.iterdir()] == ["good.mp4"]
    assert len(rows_of((out / "good.csv").read_text())) == 6


def test_a_photograph_is_told_the_commands_that_take_it(
    tmp_path: Path, service: RunningService
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    result = run(tmp_path / "photo.jpg", "--url", service.url)
    assert result.exit_code == 1
    assert "use `countenance align` or `countenance affect`" in result.stderr


def test_a_clip_can_come_through_a_pipe(clip: Path, service: RunningService) -> None:
    result = run("-", "--json", "--url", service.url, stdin=clip.read_bytes())
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.mp4"], "none.mp4 is neither a file nor a folder"),
        (["77"], "there is no camera 77"),
        (["7", "8"], "the camera 7 goes alone"),
    ],
)
def test_what_cannot_be_looked_at_is_told_in_one_line(
    arguments: list[str], said: str, service: RunningService
) -> None:
    result = run(*arguments, "--url", service.url)
    assert result.exit_code == 1
    assert result.stderr == f"error: {said}" + result.stderr[len(f"error: {said}") :]
    assert result.stderr.count("\n") == 1


def test_one_video_is_not_made_of_several_clips(
    clip: Path, tmp_path: Path, service: RunningService
) -> None:
    other = shutil.copy(clip, tmp_path / "other.mp4")
    result = run(clip, other, "--overlay", tmp_path / "drawn.mp4", "--url", service.url)
    assert result.exit_code == 1
    assert "name a folder" in result.stderr


@pytest.mark.slow
def test_the_models_here_follow_the_portrait(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "walk.mp4", [number / 25 for number in range(8)])
    result = run(clip, "--csv", "--overlay", tmp_path / "drawn.mp4")
    assert result.exit_code == 0, result.stderr
    rows = rows_of(result.stdout)
    assert [row["success"] for row in rows] == ["1"] * 8
    assert all(-0.6 < float(row["pose_Rz"]) < 0.6 for row in rows)
    x = [float(row["x_30"]) for row in rows]
    assert x[0] - x[-1] == pytest.approx(7, abs=2.5)  # the picture moves a pixel a frame
