"""What a handler says of the weights that answer: name, version and hash, terms and figures."""

from typing import Any

from handlers.checkpoint import Checkpoint

TOLD = ("licence", "figures")


def name_model(model: str, checkpoint: Checkpoint) -> dict[str, str]:
    """Which weights answered, as every answer names them."""
    return {"name": model, "version": checkpoint.version, "sha256": checkpoint.sha256}


def describe_model(model: str, checkpoint: Checkpoint, **more: Any) -> dict[str, Any]:
    """The same with the weights' own name, `more`, and what the configuration tells people."""
    told = {key: checkpoint.config[key] for key in TOLD if key in checkpoint.config}
    return {**name_model(model, checkpoint), "weights": checkpoint.name, **more, **told}
