"""A model on disk: `weights.safetensors` beside a `config.json` that names it and rebuilds it."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]

SCHEMA = 1
WEIGHTS_FILE = "weights.safetensors"
CONFIG_FILE = "config.json"
HEADER_TYPES: Mapping[str, type] = {"schema": int, "name": str, "version": str, "sha256": str}
TOLD = ("licence", "figures")


class CheckpointError(ValueError):
    """A checkpoint that cannot be trusted or read; says what is wrong and what would be right."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights with everything that is needed to use and to name them.

    `config` is the part of `config.json` that the model itself defines: what rebuilds the network,
    and by convention `"licence"` (str) and `"figures"` (measured results), shown to users.
    `sha256` is the hexadecimal hash of the weights file, `tensors` hold the type stored on disk.
    """

    name: str
    version: str
    config: dict[str, Any]
    tensors: "dict[str, Tensor]"
    sha256: str


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify the checkpoint in `folder`, leaving its tensors out.

    Raises CheckpointError when a file is missing or damaged, the schema is unknown, or the hash of
    the weights is not the one that the configuration names.
    """
    return _verified(folder)[0]


def load_arrays(folder: Path) -> dict[str, Array]:
    """Read and verify the checkpoint in `folder`; return its tensors as arrays."""
    return _arrays(folder, _verified(folder)[1])


def load_checkpoint(folder: Path, device: str = "cpu") -> Checkpoint:
    """Read and verify the checkpoint in `folder`, its tensors torch's and on `device`."""
    # Not above: who only reads arrays needs no torch.
    import torch

    checkpoint, weights = _verified(folder)
    arrays = _arrays(folder, weights)
    tensors = {key: torch.from_numpy(one).to(device) for key, one in arrays.items()}
    return replace(checkpoint, tensors=tensors)


def _verified(folder: Path) -> tuple[Checkpoint, bytes]:
    """Return a checkpoint without tensors, and the bytes of its weights."""
    header, config = _split_header(_read_config(folder / CONFIG_FILE), folder / CONFIG_FILE)
    weights = _read(folder / WEIGHTS_FILE)
    sha256 = hashlib.sha256(weights).hexdigest()
    if sha256 != header["sha256"]:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} has sha256 {sha256}, but {CONFIG_FILE} names "
            f"{header['sha256']}: the two files must come from the same save"
        )
    return Checkpoint(header["name"], header["version"], config, {}, sha256), weights


def _arrays(folder: Path, weights: bytes) -> dict[str, Array]:
    try:
        return load_safetensors(weights)
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS_FILE} is no safetensors file: {error}") from error


def save_checkpoint(
    folder: Path,
    name: str,
    version: str,
    config: Mapping[str, Any],
    tensors: "Mapping[str, Tensor]",
) -> Checkpoint:
    """Write weights and configuration into `folder` (made when missing) and return what was saved.

    Raises CheckpointError when `config` uses a name that the header keeps for itself.
    """
    if taken := sorted(HEADER_TYPES.keys() & config.keys()):
        raise CheckpointError(f"config may not hold {', '.join(taken)}: the header writes them")
    stored = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    weights = save_safetensors({key: tensor.numpy() for key, tensor in stored.items()})
    sha256 = hashlib.sha256(weights).hexdigest()
    header = {"schema": SCHEMA, "name": name, "version": version, "sha256": sha256}
    text = json.dumps({**header, **config}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    # The weights first: whoever reads between the two is told that they do not belong together.
    _replace(folder / WEIGHTS_FILE, weights)
    _replace(folder / CONFIG_FILE, text.encode())
    return Checkpoint(name, version, dict(config), stored, sha256)


def annotate(folder: Path, **values: Any) -> None:
    """Set entries of a checkpoint's configuration, such as its figures; the weights stay.

    Raises CheckpointError for a folder without a configuration and for a name of the header.
    """
    if taken := sorted(HEADER_TYPES.keys() & values.keys()):
        raise CheckpointError(f"{', '.join(taken)} belong to the header and cannot be set")
    content = _read_config(folder / CONFIG_FILE) | values
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _replace(folder / CONFIG_FILE, text.encode())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path} ({error.strerror}): a checkpoint is a folder that holds "
            f"{WEIGHTS_FILE} and {CONFIG_FILE}"
        ) from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read(path))
    except ValueError as error:
        # That of `_read` is a ValueError too, and says more.
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__} instead of a JSON object")
    return content


def _split_header(content: dict[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    if content.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{path} has schema {content.get('schema')!r}; this version reads schema {SCHEMA}"
        )
    for key, kind in HEADER_TYPES.items():
        if not isinstance(content.get(key), kind):
            raise CheckpointError(f"{path} has {key} {content.get(key)!r}; needed: {kind.__name__}")
    header = {key: content[key] for key in HEADER_TYPES}
    return header, {key: value for key, value in content.items() if key not in HEADER_TYPES}


def _replace(path: Path, content: bytes) -> None:
    # A reader sees the old file or the new one, never a part.
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def name_model(model: str, checkpoint: Checkpoint) -> dict[str, str]:
    """Name the weights as every answer does."""
    return {"name": model, "version": checkpoint.version, "sha256": checkpoint.sha256}


def describe_model(model: str, checkpoint: Checkpoint, **more: Any) -> dict[str, Any]:
    """Name the weights with their own name, `more`, and the configuration's words for people."""
    told = {key: checkpoint.config[key] for key in TOLD if key in checkpoint.config}
    return {**name_model(model, checkpoint), "weights": checkpoint.name, **more, **told}
