"""Model stores for tests: the shipped weights, and a next version of the tracker's."""

from collections.abc import Iterable
from pathlib import Path

from handlers.checkpoint import load_checkpoint, save_checkpoint

SHIPPED = Path(__file__).parents[2] / "model_store"
TRACKER = "dcrt"


def link_store(folder: Path, models: Iterable[str] | None = None) -> Path:
    """A store of links to the shipped models, all of them or those that are named."""
    folder.mkdir()
    for model in models or [model.name for model in SHIPPED.iterdir()]:
        (folder / model).symlink_to(SHIPPED / model)
    return folder


def next_version(folder: Path, models: Iterable[str] | None = None, version: str = "next") -> Path:
    """A store whose tracker differs a little from the shipped one, in weights and in version."""
    link_store(folder, models)
    (folder / TRACKER).unlink()
    shipped = load_checkpoint(SHIPPED / TRACKER)
    tensors = dict(shipped.tensors)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name] = tensors[name] * 1.001
    save_checkpoint(folder / TRACKER, shipped.name, version, shipped.config, tensors)
    return folder
