"""Promises of `countenance align`, with a stand-in for the models and a real server around it."""

import asyncio
import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from service.cli import app
from service.commands.align import align_all
from service.commands.aligners import AlignOptions, LocalAligner
from service.commands.photos import find_photos
from service.commands.reports import as_csv_rows, as_json_line, as_text
from service.examples import ALIGN_REPLY, MODEL
from service.inference import Answer, Question, Readiness
from service.schemas import AlignReply
from service.server import make_server
from service.settings import Settings

OPTIONS = AlignOptions(max_faces=3, denoise="off", min_face_px=50)


class FakeModels:
    """Answers every question with the same face and remembers the options of the last one."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    async def open(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to let go."""

    async def ask(self, model: str, question: Question) -> Answer:
        self.options = dict(question.options)
        drawn = {"overlay": b"drawn"} if "overlay" in question.options["include"] else {}
        return Answer(ALIGN_REPLY | drawn)

    async def describe(self) -> list[dict[str, Any]]:
        return [dict(MODEL)]

    async def readiness(self) -> Readiness:
        return Readiness(True, "cpu", ("align",))


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def local(models: FakeModels) -> Iterator[LocalAligner]:
    with LocalAligner(models, OPTIONS, max_pixels=10_000) as aligner:
        yield aligner


@pytest.fixture
def url(models: FakeModels) -> Iterator[str]:
    """A service on a free port."""
    server = make_server(Settings(port=0, log_level="error"), models)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 48)).save(path)
    return path


def test_the_models_here_are_asked_with_the_options_of_the_command(
    local: LocalAligner, models: FakeModels, photo: Path
) -> None:
    aligned = local.align(photo.read_bytes(), draw=True)
    asked = (models.options["max_faces"], models.options["denoise"], models.options["min_face_px"])
    assert asked == (3, "off", 50)
    assert aligned.overlay == b"drawn"


def test_what_fails_is_told_and_the_rest_is_answered(
    local: LocalAligner, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, large = tmp_path / "text.jpg", tmp_path / "large.png"
    text.write_text("no picture")
    Image.new("L", (200, 100)).save(large)
    photos = [str(path) for path in (text, photo, large, tmp_path / "gone.jpg", photo)]
    failures = align_all(local, photos, as_json_line, overlay=None)
    assert [failure.photo for failure in failures] == [photos[0], photos[2], photos[3]]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_photographs_of_one_name_get_drawings_of_their_own(
    local: LocalAligner, photo: Path, tmp_path: Path
) -> None:
    align_all(local, [str(photo), str(photo)], as_text, tmp_path / "drawn")
    names = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert names == {"photo.png", "photo-2.png"}


def test_csv_has_one_header_and_openface_columns_behind_the_photograph(photo: Path) -> None:
    reply = AlignReply.model_validate(ALIGN_REPLY)
    text = as_csv_rows("a,b.jpg", reply, True) + as_csv_rows("c.jpg", reply, False)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["photo"] for row in rows] == ["a,b.jpg", "c.jpg"]
    assert float(rows[1]["x_0"]) == reply.faces[0].landmarks[0][0]
    assert {"pose_Rx", "confidence", "y_67"} <= rows[0].keys()


def test_the_same_answer_comes_from_the_models_here_and_from_a_service(
    local: LocalAligner, url: str, photo: Path
) -> None:
    result = CliRunner().invoke(app, ["align", str(photo), "--url", url, "--json"])
    assert result.exit_code == 0, result.stderr
    remote = json.loads(result.stdout)
    here = local.align(photo.read_bytes()).reply.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    assert remote == {"photo": str(photo)} | here


def test_a_service_draws_too_and_hears_the_options(
    url: str, models: FakeModels, photo: Path, tmp_path: Path
) -> None:
    options = ["--max-faces", "2", "--min-face-px", "60", "--denoise", "off"]
    drawn = tmp_path / "drawn"
    result = CliRunner().invoke(
        app, ["align", str(photo), "--url", url, "--overlay", str(drawn), *options]
    )
    assert result.exit_code == 0, result.stderr
    assert (drawn / "photo.png").read_bytes() == b"drawn"
    asked = (models.options["max_faces"], models.options["denoise"], models.options["min_face_px"])
    assert asked == (2, "off", 60)


def test_a_picture_that_a_service_refuses_is_named_and_the_exit_code_says_so(
    url: str, photo: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    result = CliRunner().invoke(app, ["align", str(broken), str(photo), "--url", url, "--csv"])
    assert result.exit_code == 1
    assert "broken.jpg" in result.stderr
    assert "1 of 2" in result.stderr
    assert len(result.stdout.splitlines()) == 2


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "not an address"])
def test_no_service_at_the_address_is_told_in_one_line(address: str, photo: Path) -> None:
    result = CliRunner().invoke(app, ["align", str(photo), "--url", address])
    assert result.exit_code == 1
    assert result.stderr.startswith("error:")
    assert result.stderr.count("\n") == 1


def test_json_and_csv_together_are_a_mistake_of_usage(photo: Path) -> None:
    assert CliRunner().invoke(app, ["align", str(photo), "--json", "--csv"]).exit_code == 2


def test_folders_stand_for_the_photographs_in_them(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "other.JPG").touch()
    found = find_photos([str(tmp_path), "-"])
    assert found == [str(tmp_path / "deeper" / "other.JPG"), str(photo), "-"]
