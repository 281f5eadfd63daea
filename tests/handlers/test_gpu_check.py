"""The check of a GPU: runs from its own archive to its end, whatever fails on the way."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.bench.gpu_check.__main__ import STEPS, main
from tests.bench.gpu_check.answers import TOLERANCES, apart, are_alike
from tests.bench.gpu_check.steps import STEPS as KNOWN

MOST_MB = 60


def run(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the check with the code in a folder; its status and what it has written."""
    out = folder / "found.json"
    command = [sys.executable, "-m", "tests.bench.gpu_check", "run", "--out", str(out), *options]
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    status = subprocess.run(command, cwd=folder, env=environment, capture_output=True).returncode
    return status, json.loads(out.read_text())


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked, as on a machine that has nothing else of ours."""
    folder = tmp_path_factory.mktemp("check")
    archive = folder / "check.tar.gz"
    assert main(["pack", str(archive)]) == 0
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    archive.unlink()
    return folder


def test_it_is_small_enough_to_be_carried(unpacked: Path) -> None:
    files = [path for path in unpacked.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_MB * 1e6


def test_every_step_is_carried_out() -> None:
    assert tuple(KNOWN) == STEPS


@pytest.mark.slow
def test_it_runs_to_its_end_on_a_processor(unpacked: Path) -> None:
    tiny = ("--batches", "1,2", "--processes", "1,2", "--models", "track", "--seconds", "0")
    status, found = run(unpacked, "--device", "cpu", *tiny)
    assert (status, tuple(found)) == (0, STEPS)
    for judged in (found["same_answers"]["track dcrt"], found["states_across"]["track"]):
        assert judged == {**dict.fromkeys(TOLERANCES, 0.0), "is_alike": True}
    assert found["bare_steps"]["track"].keys() == found["transfers"]["track"].keys() == {"1", "2"}
    assert found["several_processes"]["2"]["rows_per_second"] > 0
    assert "skipped" in found["out_of_memory"]


def test_a_step_that_fails_is_written_and_the_others_go_on(unpacked: Path) -> None:
    status, found = run(unpacked, "--device", "none", "--steps", "facts,nothing")
    assert status == 1
    assert "none" in found["facts"]["failed"]
    assert "KeyError: 'nothing'" in found["nothing"]["failed"]


def test_without_time_nothing_is_begun(unpacked: Path) -> None:
    status, found = run(unpacked, "--minutes", "0")
    assert (status, tuple(found)) == (1, STEPS)
    assert found["facts"] == {"failed": "no time left"}


def test_what_lies_apart_is_told_and_judged_by_its_unit() -> None:
    one = {"faces": [{"box": [1.0, 2.0], "pose": {"yaw_deg": 0.5}}], "valence": 0.5, "note": "a"}
    other = {
        "faces": [{"box": [1.25, 2.0], "pose": {"yaw_deg": 0.25}}],
        "valence": 0.5,
        "note": "b",
    }
    found = apart(one, other)
    assert found == {**dict.fromkeys(TOLERANCES, 0.0), "pixels": 0.25, "degrees": 0.25}
    assert are_alike(found)
    assert not are_alike(apart(one, {**other, "valence": 0.4}))
    with pytest.raises(ValueError, match="faces count"):
        apart(one, {"faces": [], "note": "a"})
