"""Promises of `countenance annotate`: every clip once, whatever is stopped, killed or repeated."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from tests.client.conftest import RunningService
from tests.made_clips import make_clip
from tests.service.feeling import CountingAffect

pq = pytest.importorskip("pyarrow.parquet")

ROOT = Path(__file__).parent.parent
FRAMES = 10
TIMES_S = [number / 25 for number in range(FRAMES)]


@pytest.fixture
def service() -> Iterator[RunningService]:
    running = RunningService()
    yield running
    running.stop()


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with six clips, one of them deeper and one of the same name."""
    folder = tmp_path / "videos"
    (folder / "deeper").mkdir(parents=True)
    first = make_clip(folder / "0.mp4", TIMES_S)
    for name in ("1.mp4", "2.mp4", "3.mp4", "deeper/0.mp4", "deeper/4.mp4"):
        shutil.copy(first, folder / name)
    return folder


@pytest.fixture
def no_models(tmp_path: Path) -> Path:
    """A store without the mean face: poses are left empty and no networks are loaded."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["annotate", *map(str, arguments)])


def frames_by_clip(out: Path) -> dict[str, list[int]]:
    """Which frames of each clip the tables hold, all tables read as one data set."""
    found: dict[str, list[int]] = {}
    for row in pq.read_table(out, columns=["clip", "frame"]).to_pylist():
        found.setdefault(row["clip"], []).append(row["frame"])
    return found


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.mp4"))


def assert_each_once(out: Path, videos: Path) -> None:
    found = frames_by_clip(out)
    assert sorted(found) == names(videos)
    assert all(frames == list(range(1, FRAMES + 1)) for frames in found.values())
    assert not list(out.rglob("*.part"))


@pytest.mark.slow
def test_a_second_run_does_what_is_missing_and_what_has_changed(
    videos: Path, no_models: Path, tmp_path: Path, service: RunningService
) -> None:
    out = tmp_path / "out"
    arguments = (videos, "--out", out, "--url", service.url, "--model-store", no_models)
    (videos / "broken.mp4").write_bytes(b"no clip")
    first = run(*arguments)
    assert first.exit_code == 1
    assert "broken.mp4: The bytes are neither" in first.stderr
    assert "1 of 7 videos failed" in first.stderr
    (videos / "broken.mp4").unlink()
    assert_each_once(out, videos)

    steps = service.models.steps
    os.utime(videos / "1.mp4", (time.time() + 5, time.time() + 5))
    second = run(*arguments)
    assert second.exit_code == 0
    assert "5 of 6 videos were done before" in second.stderr
    assert service.models.steps == steps + FRAMES
    assert_each_once(out, videos)


@pytest.mark.slow
def test_options_reach_the_model_and_notes_the_table(
    no_models: Path, tmp_path: Path, service: RunningService
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    make_clip(folder / "hole.mp4", [0.0, 0.04, 3.0, 3.04])
    out = tmp_path / "out"
    arguments = (folder, "--out", out, "--url", service.url, "--model-store", no_models)
    assert run(*arguments, "--min-quality", "0.4").exit_code == 0
    assert service.models.last.options["min_quality"] == 0.4
    (table,) = out.rglob("*.parquet")
    (note,) = json.loads(pq.read_metadata(table).metadata[b"notes"])
    assert note == "there is no picture for 2.96 s after 0.04 s"


@pytest.mark.slow
def test_results_made_otherwise_are_not_mixed(
    videos: Path, no_models: Path, tmp_path: Path, service: RunningService
) -> None:
    arguments = (videos, "--out", tmp_path, "--url", service.url, "--model-store", no_models)
    shutil.rmtree(videos / "deeper")
    assert run(*arguments).exit_code == 0
    other = run(*arguments, "--max-faces", "2")
    assert other.exit_code == 1
    assert "name another folder" in other.stderr


@pytest.mark.slow
def test_affect_is_kept_with_its_quadrants_and_attention(videos: Path, tmp_path: Path) -> None:
    shutil.rmtree(videos / "deeper")
    running = RunningService(CountingAffect())
    try:
        result = run(videos, "--what", "affect", "--out", tmp_path / "out", "--url", running.url)
    finally:
        running.stop()
    assert result.exit_code == 0, result.stderr
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert len(rows) == 4 * FRAMES
    assert [row["timestamp"] for row in rows[:FRAMES]] == pytest.approx(TIMES_S)
    assert (rows[0]["p_positive-active"], rows[0]["p_positive-passive"]) == (0.75, None)
    assert sum(rows[3]["attention"]) == pytest.approx(1)
    assert (rows[0]["face"], rows[0]["voice"], rows[0]["face_id"]) == (True, False, 1)


def test_a_place_that_is_none_and_a_folder_without_videos_are_told_in_one_line(
    tmp_path: Path,
) -> None:
    for source in ("nowhere://bucket", tmp_path):
        result = run(source, "--out", tmp_path / "out")
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1


def test_without_ray_the_extra_is_named(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run(videos, "--out", tmp_path / "out", "--jobs", "2")
    assert result.exit_code == 1
    assert "pip install 'countenance[annotate]'" in result.stderr


def test_ray_is_asked_to_report_to_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str | None] = []

    def init(**_: object) -> None:
        asked.append(os.environ.get("RAY_USAGE_STATS_ENABLED"))
        raise ConnectionError("no cluster there")

    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    make_clip(tmp_path / "0.mp4", TIMES_S[:2])
    result = run(tmp_path, "--out", tmp_path / "out", "--ray-address", "ray://nowhere")
    assert asked == ["0"]
    assert result.exit_code == 1
    assert "Ray cannot be had at ray://nowhere: no cluster there" in result.stderr


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_neither_loses_nor_doubles_a_clip(
    videos: Path, no_models: Path, tmp_path: Path, service: RunningService
) -> None:
    pytest.importorskip("ray")
    out = tmp_path / "out"
    service.models.delay_s = 0.1
    command = [sys.executable, "-c", "from service.cli import app; app()", "annotate", str(videos)]
    command += ["--out", str(out), "--jobs", "2", "--url", service.url]
    command += ["--model-store", str(no_models)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        killed = kill_who_writes(out, process)
        _, said = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert not (Path("/proc") / str(killed)).exists()
    assert_each_once(out, videos)

    steps = service.models.steps
    again = run(videos, "--out", out, "--url", service.url, "--model-store", no_models)
    assert "6 of 6 videos were done before" in again.stderr
    assert service.models.steps == steps


def kill_who_writes(out: Path, process: "subprocess.Popen[str]") -> int:
    """Kill, by force, the worker that writes the first draft to be seen; return its id."""
    until = time.monotonic() + 180
    while time.monotonic() < until and process.poll() is None:
        for draft in out.glob("_drafts/*.part"):
            if draft.name.startswith("_annotate"):
                continue
            worker = int(draft.name.removesuffix(".part").rsplit("-", 2)[1])
            os.kill(worker, signal.SIGKILL)
            return worker
        time.sleep(0.02)
    raise AssertionError(f"no worker began: {process.poll()}")
