"""Promises of `countenance doctor`: it finds damaged weights and answers that have moved."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.align.interface import ALIGN_REPLY, EXAMPLE_MODEL, FACE
from service.cli import app
from service.commands.doctor import compare, examine_store
from service.schemas import AlignReply


def reply(**changes: Any) -> AlignReply:
    return AlignReply.model_validate(ALIGN_REPLY | changes)


def shifted(pixels: float) -> AlignReply:
    """The example's answer with its last landmark further to the right."""
    *others, (x, y) = FACE["landmarks"]
    return reply(faces=[FACE | {"landmarks": [*others, [x + pixels, y]]}])


def test_the_stored_answer_is_right_and_one_that_moved_is_wrong() -> None:
    assert compare(reply(), reply()).ok is True
    assert compare(shifted(0.4), reply()).ok is True
    assert compare(shifted(0.6), reply()).ok is False
    assert compare(reply(faces=[]), reply()).ok is False


def test_the_answer_of_other_weights_is_neither_right_nor_wrong() -> None:
    other = reply(model=EXAMPLE_MODEL | {"sha256": "0" * 64})
    assert compare(shifted(5.0), other).ok is None


def test_damaged_weights_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"abc")
    config = {"name": "tiny", "version": "1", "sha256": hashlib.sha256(b"abc").hexdigest()}
    (folder / "config.json").write_text(json.dumps(config))
    assert [finding.ok for finding in examine_store(tmp_path)] == [True]
    (folder / "weights.safetensors").write_bytes(b"abd")
    assert [finding.ok for finding in examine_store(tmp_path)] == [False]


def test_a_store_without_models_is_wrong(tmp_path: Path) -> None:
    assert [finding.ok for finding in examine_store(tmp_path)] == [False]


@pytest.mark.slow
def test_the_shipped_models_give_the_portrait_its_stored_answer() -> None:
    result = CliRunner().invoke(app, ["doctor", "--device", "cpu"])
    assert result.exit_code == 0, result.stdout + result.stderr
    assert "from the stored ones" in result.stdout, (
        "new weights: `countenance doctor --keep-answer`"
    )
