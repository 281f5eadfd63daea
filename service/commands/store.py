"""The folder of models as files: what each says of itself, and whether its weights are intact."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.commands.console import CommandError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class StoredModel:
    """One model of the store: the part of its `config.json` for people, and its size in bytes."""

    name: str
    version: str
    sha256: str
    licence: str | None
    figures: dict[str, Any]
    size_bytes: int
    folder: Path

    def is_intact(self) -> bool:
        """Whether the weights have the hash that the configuration names."""
        with (self.folder / WEIGHTS_FILE).open("rb") as weights:
            return hashlib.file_digest(weights, "sha256").hexdigest() == self.sha256


def read_store(folder: Path) -> list[StoredModel]:
    """Every model under `folder`, by name; raises CommandError when one cannot be read."""
    if not folder.is_dir():
        raise CommandError(
            f"{folder.absolute()} is no folder: name the folder of the models by --model-store or "
            "COUNTENANCE_MODEL_STORE"
        )
    return [read_model(config.parent) for config in sorted(folder.glob(f"*/{CONFIG_FILE}"))]


def read_model(folder: Path) -> StoredModel:
    """One model; raises CommandError when its configuration or its weights are missing or odd."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        return StoredModel(
            name=config["name"],
            version=config["version"],
            sha256=config["sha256"],
            licence=config.get("licence"),
            figures=config.get("figures", {}),
            size_bytes=(folder / WEIGHTS_FILE).stat().st_size,
            folder=folder,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{error.filename} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{folder / CONFIG_FILE} describes no model: {error!r}") from error
