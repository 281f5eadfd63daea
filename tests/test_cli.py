"""Promises of the command line as a whole, and of the commands that only read files."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from service.cli import app
from service.commands.doctor import PORTRAIT
from service.commands.models import DOORS, ROLES, terms_in_a_word
from service.commands.train import find_recipe
from tests.waiting import MOST_S

ROOT = Path(__file__).parent.parent
COMMANDS = (
    *("serve", "align", "track", "affect", "annotate", "models", "doctor", "train"),
    *("evaluate align", "evaluate track"),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one model whose weights are three bytes."""
    folder = tmp_path / "store" / "tiny"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"abc")
    config = {
        "name": "tiny",
        "version": "2",
        "sha256": hashlib.sha256(b"abc").hexdigest(),
        "licence": "research only",
        "figures": {"AUC": 0.5},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder.parent


def test_every_command_explains_itself() -> None:
    for command in COMMANDS:
        result = CliRunner().invoke(app, [*command.split(), "--help"])
        assert result.exit_code == 0
        assert "Usage" in result.stdout


def test_models_lists_what_the_configurations_say(store: Path) -> None:
    result = CliRunner().invoke(app, ["models", "--model-store", str(store), "--json"])
    (model,) = json.loads(result.stdout)
    assert (model["name"], model["version"], model["size_bytes"]) == ("tiny", "2", 3)
    assert (model["licence"], model["figures"]) == ("research only", {"AUC": 0.5})


def test_every_shipped_model_has_a_row_that_says_what_it_does_how_it_is_used_and_its_terms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.commands.models.out", Console(width=100))
    lines = CliRunner().invoke(app, ["models"]).stdout.splitlines()
    rows = {line.split()[0]: line for line in lines if line.strip()}
    shipped = {folder.parent.name for folder in (ROOT / "model_store").glob("*/config.json")}
    assert shipped == set(ROLES)
    for name in shipped:
        assert re.fullmatch(r" \S+ +\S.*  (served|variant=|evaluate) +\S.*", rows[name]), rows[name]
    assert max(map(len, lines)) <= 100


def test_one_model_is_told_in_full_and_an_unknown_one_by_those_that_there_are(store: Path) -> None:
    given = ["--model-store", str(store)]
    told = CliRunner().invoke(app, ["models", "tiny", *given]).stdout
    assert "research only" in told
    assert "AUC: 0.5" in told
    unknown = CliRunner().invoke(app, ["models", "huge", *given])
    assert unknown.exit_code == 1
    assert "no model is called huge: tiny" in unknown.stderr


def test_terms_in_a_word_are_the_strictest_of_a_licence() -> None:
    assert terms_in_a_word("non-commercial research only, as FER-2013") == "research"
    assert terms_in_a_word("non-commercial only (CC BY-NC-SA 4.0)") == "non-commercial"
    assert terms_in_a_word("Apache-2.0 and MIT; see README.md") == "Apache-2.0 and MIT"
    assert terms_in_a_word(None) == "not told"


@pytest.mark.parametrize("door", DOORS)
def test_a_door_lists_the_models_behind_it(door: str) -> None:
    told = json.loads(CliRunner().invoke(app, ["models", door, "--json"]).stdout)
    names = {model["name"] for model in told}
    inside = {"align": "dfa", "track": "dcrt", "affect": "vi-de", "face-voice": "voice"}
    assert inside[door] in names
    assert ("avi-gas" in names) == (door == "affect")
    assert "fle" not in names


def test_one_model_is_told_with_its_cards_figures_those_of_another_source_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.commands.models.out", Console(width=250))
    told = CliRunner().invoke(app, ["models", "expressions"]).stdout
    assert "terms   non-commercial research only" in told
    assert -1 < told.index("1 000 citizen faces") < told.index("500 faces of FER2013Test")


@pytest.mark.parametrize("name", sorted(ROLES))
def test_what_is_told_of_a_shipped_model_has_figures(name: str) -> None:
    told = CliRunner().invoke(app, ["models", name]).stdout
    assert re.search(r"Figures|present weights|\d\.\d+|probabilit", told.partition("\ncard ")[2])


def test_models_takes_the_store_from_the_settings(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTENANCE_MODEL_STORE", str(store))
    assert "tiny" in CliRunner().invoke(app, ["models"]).stdout


@pytest.mark.parametrize("content", ["no json", "[]", "{}", '{"name": "tiny"}'])
def test_a_broken_configuration_is_named_in_one_line(store: Path, content: str) -> None:
    (store / "tiny" / "config.json").write_text(content)
    result = CliRunner().invoke(app, ["models", "--model-store", str(store)])
    assert result.exit_code == 1
    assert "config.json" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_store_and_an_unknown_setting_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = CliRunner().invoke(app, ["models", "--model-store", str(tmp_path / "none")])
    monkeypatch.setenv("COUNTENANCE_PROT", "8000")
    unknown = CliRunner().invoke(app, ["models"])
    assert (missing.exit_code, unknown.exit_code) == (1, 1)
    assert "no folder" in missing.stderr
    assert "COUNTENANCE_PROT" in unknown.stderr
    assert unknown.stderr.count("\n") == 1


def test_an_unknown_recipe_is_answered_with_those_that_come_along() -> None:
    result = CliRunner().invoke(app, ["train", "none-such", "--data", "."])
    assert result.exit_code == 1
    assert "fle" in result.stderr


def test_a_recipe_is_found_by_name_or_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.touch()
    assert find_recipe(str(mine)) == mine
    assert find_recipe("fle").name == "fle.toml"


def test_two_models_to_compare_need_a_colon() -> None:
    result = CliRunner().invoke(app, ["evaluate", "align", "--data", ".", "--pair", "dfa"])
    assert result.exit_code == 1
    assert "dfa:fle" in result.stderr


@pytest.mark.slow
def test_a_service_with_a_broken_store_does_not_start_and_says_why_in_one_line(store: Path) -> None:
    (store / "dfa").mkdir()
    (store / "dfa" / "config.json").write_text("{}")
    command = [sys.executable, "-c", "from service.cli import app; app()", "serve", "--port", "0"]
    command += ["--model-store", str(store), "--log-format", "text"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MOST_S)
    assert run.returncode == 3
    assert "the service cannot start: " in run.stderr
    assert str(store) in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_the_work_quietly(tmp_path: Path) -> None:
    shutil.copytree(PORTRAIT.parent, tmp_path / "photos")
    for number in range(20):
        shutil.copy(PORTRAIT, tmp_path / "photos" / f"{number}.jpg")
    command = [sys.executable, "-c", "from service.cli import app; app()", "align"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "photos"), "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline().startswith(b'{"photo": ')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def hear_interrupts() -> None:
    """Heed SIGINT, which whatever was started in the background has learnt to ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_ctrl_c_ends_the_work_with_its_own_code(tmp_path: Path) -> None:
    for number in range(50):
        shutil.copy(PORTRAIT, tmp_path / f"{number}.jpg")
    command = [sys.executable, "-c", "from service.cli import app; app()", "align"]
    process = subprocess.Popen(
        [*command, str(tmp_path), "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=hear_interrupts,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=MOST_S)
    assert process.returncode == 130
    assert b"Traceback" not in said
