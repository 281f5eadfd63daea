"""Promises of `countenance align`, with a stand-in for the models and a real server around it."""

import asyncio
import csv
import io
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from service.align.interface import ALIGN_REPLY, EXAMPLE_MODEL
from service.cli import app
from service.client import ProblemError
from service.commands.doctor import PORTRAIT
from service.commands.forms import align_csv_header, as_csv_rows
from service.commands.options import ask
from service.inference import Answer, Question, Readiness
from service.inference.local import OnDemandInference
from service.keys import new_key
from service.schemas import AlignReply
from service.server import make_server
from service.settings import Settings
from tests.waiting import wait_until


class FakeModels:
    """Answers every question with the same face and remembers the options of the last one."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.asked = 0

    async def open(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to let go."""

    async def ask(self, model: str, question: Question) -> Answer:
        self.asked += 1
        self.options = dict(question.options)
        drawn = {"overlay": b"drawn"} if "overlay" in question.options["include"] else {}
        return Answer(ALIGN_REPLY | drawn)

    async def describe(self, model: str | None = None) -> list[dict[str, Any]]:
        return [dict(EXAMPLE_MODEL)]

    async def readiness(self) -> Readiness:
        return Readiness(True, "cpu", ("align",))


class Serving:
    """A service on a free port, for as long as the block."""

    def __init__(self, models: FakeModels, **options: Any) -> None:
        self.server = make_server(Settings(port=0, log_level="error", **options), models)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()))

    def __enter__(self) -> str:
        self.thread.start()
        wait_until(lambda: self.server.started or not self.thread.is_alive())
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def local(models: FakeModels, monkeypatch: pytest.MonkeyPatch) -> FakeModels:
    """Let the models of this machine be the fake ones."""
    monkeypatch.setattr(OnDemandInference, "from_settings", lambda settings: models)
    return models


@pytest.fixture
def url(models: FakeModels) -> Iterator[str]:
    with Serving(models) as url:
        yield url


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 48)).save(path)
    return path


def run(*arguments: object, stdin: bytes | None = None) -> Any:
    return CliRunner().invoke(app, ["align", *map(str, arguments)], input=stdin)


def test_the_models_here_are_asked_with_the_options_of_the_command(
    local: FakeModels, photo: Path, tmp_path: Path
) -> None:
    options = ["--max-faces", "3", "--denoise", "off", "--min-face-px", "50"]
    result = run(photo, "--overlay", tmp_path / "drawn", *options)
    assert result.exit_code == 0, result.stderr
    asked = (local.options["max_faces"], local.options["denoise"], local.options["min_face_px"])
    assert asked == (3, "off", 50)
    assert (tmp_path / "drawn" / "photo.png").read_bytes() == b"drawn"


def test_what_fails_is_told_and_the_rest_is_answered(url: str, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_text("no picture")
    shutil.copy(photo, folder / "b.png")
    shutil.copy(photo, folder / "c.png")
    result = run(folder, "--url", url, "--json")
    assert result.exit_code == 1
    assert "a.jpg: The bytes are not a picture" in result.stderr
    assert "1 of 3 photographs failed" in result.stderr
    answered = [Path(json.loads(line)["photo"]).name for line in result.stdout.splitlines()]
    assert answered == ["b.png", "c.png"]


def test_drawings_and_results_get_the_names_of_their_photographs(
    url: str, photo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for name in ("one.png", "two.png", "two.jpg", "deeper/one.png"):
        shutil.copy(photo, folder / name)
    out, drawn = tmp_path / "out", tmp_path / "drawn"
    result = run(folder, "--url", url, "--out", out, "--csv", "--overlay", drawn)
    assert result.exit_code == 0, result.stderr
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert found == ["deeper/one.csv", "one.csv", "two.jpg.csv", "two.png.csv"]
    assert (drawn / "two.jpg.png").read_bytes() == b"drawn"
    (row,) = csv.DictReader(io.StringIO((out / "one.csv").read_text()))
    assert row["photo"] == str(folder / "one.png")
    assert result.stdout == ""


def test_a_second_run_does_only_what_is_not_done(
    url: str, models: FakeModels, photo: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    shutil.copy(photo, folder / "a.png")
    (folder / "b.png").write_text("broken")
    first = run(folder, "--url", url, "--out", out)
    shutil.copy(photo, folder / "b.png")
    second = run(folder, "--url", url, "--out", out)
    assert (first.exit_code, second.exit_code, models.asked) == (1, 0, 2)
    assert "1 of 2 photographs were done before" in second.stderr
    assert {path.name for path in out.iterdir()} == {"a.csv", "b.csv"}
    run(folder, "--url", url, "--out", out, "--again")
    assert models.asked == 4


def test_csv_has_one_header_and_openface_columns_behind_the_photograph(photo: Path) -> None:
    reply = AlignReply.model_validate(ALIGN_REPLY)
    text = align_csv_header("photo") + as_csv_rows("a,b.jpg", reply) + as_csv_rows("c.jpg", reply)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["photo"] for row in rows] == ["a,b.jpg", "c.jpg"]
    assert float(rows[1]["x_0"]) == reply.faces[0].landmarks[0][0]
    assert {"pose_Rx", "confidence", "y_67"} <= rows[0].keys()


def test_the_same_answer_comes_from_the_models_here_and_from_a_service(
    local: FakeModels, url: str, photo: Path
) -> None:
    remote, here = run(photo, "--url", url, "--json"), run(photo, "--json")
    assert (remote.exit_code, here.exit_code) == (0, 0), here.stderr
    assert remote.stdout == here.stdout


def test_every_name_that_the_service_reads_is_taken_and_the_rest_is_named(
    url: str, photo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jfif", "b.MPO", "c.jpe"):
        shutil.copy(photo, folder / name)
    (folder / "notes.txt").touch()
    result = run(folder, "--url", url, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "1 file was left out, no photographs by name:" in result.stderr
    assert "notes.txt" in result.stderr
    assert "3 of 3 photographs done." in result.stderr


def test_a_service_draws_too_and_hears_the_options(
    url: str, models: FakeModels, photo: Path, tmp_path: Path
) -> None:
    options = ["--max-faces", "2", "--min-face-px", "60", "--denoise", "off"]
    drawn = tmp_path / "drawn"
    result = run(photo, "--url", url, "--overlay", drawn, *options)
    assert result.exit_code == 0, result.stderr
    assert (drawn / "photo.png").read_bytes() == b"drawn"
    asked = (models.options["max_faces"], models.options["denoise"], models.options["min_face_px"])
    assert asked == (2, "off", 60)


def test_a_picture_can_come_through_a_pipe(url: str, photo: Path) -> None:
    result = run("-", "--url", url, "--json", stdin=photo.read_bytes())
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["photo"] == "-"


def test_a_key_comes_from_the_environment_or_a_file(
    models: FakeModels, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, entry = new_key("lab")
    (tmp_path / "keys.toml").write_text(entry)
    (tmp_path / "key").write_text(key + "\n")
    with Serving(models, api_keys_file=tmp_path / "keys.toml") as url:
        without = run(photo, "--url", url)
        by_file = run(photo, "--url", url, "--key-file", tmp_path / "key")
        monkeypatch.setenv("COUNTENANCE_KEY", key)
        by_environment = run(photo, "--url", url)
    assert [without.exit_code, by_file.exit_code, by_environment.exit_code] == [1, 0, 0]
    assert without.stderr.startswith("error: A valid API key is needed")


def test_a_service_that_wants_to_be_asked_later_is_asked_later() -> None:
    busy = ProblemError("urn:x", "Too many requests", 503, "later", retry_after=0.05)
    answers: list[Exception | str] = [busy, busy, "answer"]

    def question() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    started = time.monotonic()
    assert ask(question) == "answer"
    assert time.monotonic() - started >= 0.1


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "not an address"])
def test_no_service_at_the_address_is_told_in_one_line(address: str, photo: Path) -> None:
    result = run(photo, "--url", address)
    assert result.exit_code == 1
    assert result.stderr.startswith("error:")
    assert result.stderr.count("\n") == 1


def test_json_and_csv_together_are_a_mistake_of_usage(photo: Path) -> None:
    assert run(photo, "--json", "--csv").exit_code == 2


@pytest.mark.parametrize("broken", ["weights", "missing"])
def test_a_broken_model_store_is_told_in_one_line(broken: str, photo: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    if broken == "weights":
        (store / "dfa").mkdir()
        (store / "dfa" / "config.json").write_text("{}")
    result = run(photo, "--model-store", store)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the model")
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_several_processes_give_what_one_gives(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        shutil.copy(PORTRAIT, folder / f"{number}.jpg")
    (folder / "broken.jpg").write_text("no picture")
    one = run(folder, "--csv")
    two = run(folder, "--csv", "--jobs", "2")
    assert (one.exit_code, two.exit_code) == (1, 1)
    assert one.stdout == two.stdout
    assert len(one.stdout.splitlines()) > 4
    assert "broken.jpg" in two.stderr
