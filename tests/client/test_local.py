"""The service in this process: the same client without an address, from any folder."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.client import AsyncCountenance, Countenance, ProblemError
from service.errors import ConfigurationError
from service.inference.local import OnDemandInference
from tests.made_clips import make_clip
from tests.service.counting import CountingTracker

ROOT = Path(__file__).parents[2]
TIMES_S = [0.0, 0.04, 0.08, 0.2]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> CountingTracker:
    """Let the models of this process be ones that count."""
    counting = CountingTracker()
    monkeypatch.setattr(OnDemandInference, "from_settings", lambda settings: counting)
    return counting


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "walk.mp4", TIMES_S)


def test_pictures_are_paths_bytes_and_arrays(models: CountingTracker, tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 48), "gray")
    picture.save(tmp_path / "photo.png")
    with Countenance() as client:
        for given in (
            tmp_path / "photo.png",
            str(tmp_path / "photo.png"),
            (tmp_path / "photo.png").read_bytes(),
            picture,
            np.asarray(picture),
        ):
            assert client.align(given).faces
            assert models.questions[-1].inputs["image"][:4] == b"\x89PNG"


def test_a_clip_is_followed_whole_and_line_by_line(models: CountingTracker, clip: Path) -> None:
    with Countenance() as client:
        whole = client.track(clip, max_faces=2)
        lines = list(client.track_lines(clip.read_bytes(), max_faces=2))
    assert [frame.time_s for frame in whole.frames] == pytest.approx(TIMES_S, abs=0.001)
    assert [line.type for line in lines] == ["clip", *["frame"] * 4, "summary"]
    assert models.last is not None
    assert models.last.options["max_faces"] == 2


def test_a_live_session_needs_no_port(models: CountingTracker) -> None:
    picture = Image.new("RGB", (64, 48))
    with Countenance() as client, client.track_live("s") as session:
        replies = list(session.follow((picture, time_s) for time_s in TIMES_S))
    assert [reply.step for reply in replies] == [1, 2, 3, 4]


async def test_it_works_beside_other_tasks_of_an_event_loop(models: CountingTracker) -> None:
    picture = Image.new("RGB", (64, 48))
    async with AsyncCountenance() as client:
        found = await asyncio.gather(*(client.align(picture) for _ in range(3)))
    assert all(reply.faces for reply in found)


def test_what_the_service_refuses_is_refused_in_the_same_words(
    models: CountingTracker, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_text("no picture")
    with Countenance() as client, pytest.raises(ProblemError, match="not a picture") as refused:
        client.align(tmp_path / "photo.jpg")
    assert refused.value.status == 415


def test_a_store_that_is_no_folder_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no folder"):
        Countenance(model_store=tmp_path / "none")


@pytest.mark.slow
def test_the_shipped_models_answer_from_a_foreign_folder_and_the_program_ends(
    tmp_path: Path,
) -> None:
    program = (
        "from service.client import Countenance\n"
        f"print(len(Countenance().align({str(ROOT / 'service/commands/sample/portrait.jpg')!r})"
        ".faces))\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True
    )
    assert (run.returncode, run.stdout) == (0, b"1\n"), run.stderr
