"""A checkpoint comes back as it was saved, or is refused with what is wrong and what is right."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from handlers.checkpoint import CheckpointError, annotate, load_checkpoint, save_checkpoint

CONFIG: dict[str, Any] = {
    "licence": "Apache-2.0",
    "figures": {"AUC": 0.75},
    "size": {"channels": [8, 16]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(3, dtype=torch.float16)}
    save_checkpoint(tmp_path / "store" / "tiny", "tiny", "1.2.0", CONFIG, tensors)
    return tmp_path / "store" / "tiny"


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_saved_is_loaded(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    assert (checkpoint.name, checkpoint.version) == ("tiny", "1.2.0")
    assert checkpoint.config == CONFIG
    assert len(checkpoint.sha256) == 64
    torch.testing.assert_close(checkpoint.tensors["a"], torch.arange(6.0).reshape(2, 3).T)
    assert checkpoint.tensors["b"].dtype == torch.float16


def test_saving_returns_what_loading_will_and_the_same_weights_have_one_hash(
    tmp_path: Path,
) -> None:
    tensors = {"w": torch.ones(2)}
    saved = save_checkpoint(tmp_path / "one", "m", "1", {}, tensors)
    other = save_checkpoint(tmp_path / "two", "m", "2", {"more": 1}, tensors)
    assert saved.sha256 == other.sha256 == load_checkpoint(tmp_path / "one").sha256


def test_only_the_two_files_are_left_in_the_folder(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.safetensors"]


def test_changed_weights_are_refused_naming_both_hashes(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    named = json.loads((folder / "config.json").read_text())["sha256"]
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=named):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)


@pytest.mark.parametrize("schema", [2, None, "1"])
def test_an_unknown_schema_is_refused_naming_the_known_one(folder: Path, schema: object) -> None:
    edit(folder, schema=schema)
    with pytest.raises(CheckpointError, match="reads schema 1"):
        load_checkpoint(folder)


@pytest.mark.parametrize("key", ["name", "version", "sha256"])
def test_a_header_without_a_name_is_refused(folder: Path, key: str) -> None:
    edit(folder, **{key: None})
    with pytest.raises(CheckpointError, match=f"{key} None; needed: str"):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_broken_config_is_refused(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="config.json"):
        load_checkpoint(folder)


def test_weights_that_are_no_safetensors_are_refused(folder: Path) -> None:
    import hashlib

    pickled = b"\x80\x04K\x01."
    (folder / "weights.safetensors").write_bytes(pickled)
    edit(folder, sha256=hashlib.sha256(pickled).hexdigest())
    with pytest.raises(CheckpointError, match="no safetensors"):
        load_checkpoint(folder)


def test_a_config_may_not_take_the_names_of_the_header(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="sha256, version"):
        save_checkpoint(tmp_path, "m", "1", {"version": "2", "sha256": "0"}, {})


def test_an_annotation_changes_the_configuration_and_nothing_else(tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path, "small", "1", {"a": 1}, {"weight": torch.ones(2)})
    annotate(tmp_path, figures={"auc": 0.5})
    loaded = load_checkpoint(tmp_path)
    assert loaded.config == {"a": 1, "figures": {"auc": 0.5}}
    assert loaded.sha256 == saved.sha256


def test_the_header_cannot_be_annotated(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "small", "1", {}, {"weight": torch.ones(2)})
    with pytest.raises(CheckpointError, match="sha256"):
        annotate(tmp_path, sha256="0")
