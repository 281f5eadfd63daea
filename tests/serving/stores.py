"""Model stores for tests: the shipped weights, and a next version of the tracker's."""

from pathlib import Path

from handlers.checkpoint import load_checkpoint, save_checkpoint

SHIPPED = Path(__file__).parents[2] / "model_store"
TRACKER = "dcrt"


def link_store(folder: Path, *but: str) -> Path:
    """A store of links to all shipped models but those named."""
    folder.mkdir()
    for model in SHIPPED.iterdir():
        if model.name not in but:
            (folder / model.name).symlink_to(model)
    return folder


def next_version(folder: Path, version: str = "next") -> Path:
    """A store whose tracker differs a little from the shipped one, in weights and in version."""
    link_store(folder, TRACKER)
    shipped = load_checkpoint(SHIPPED / TRACKER)
    tensors = dict(shipped.tensors)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name] = tensors[name] * 1.001
    save_checkpoint(folder / TRACKER, shipped.name, version, shipped.config, tensors)
    return folder
