"""Something of every frame computed once, batch by batch, into a table on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

BATCH = 64
SAVED_EVERY = 100  # batches

Halves = NDArray[np.float16]
Rows = NDArray[np.int32]  # of frames: the place of the piece, and the moment in it


def keep(
    path: Path,
    rows: Rows,
    shape: tuple[int, ...],
    look: Callable[[Rows], Tensor],
    resume: bool,
) -> Halves:
    """What `look` finds of every frame, of a shape each, in half precision as a memory map; what
    is there is not done again. Under torchrun every process has its own."""
    if torch.distributed.is_torchelastic_launched():
        path = path.with_stem(f"{path.stem}-{TorchElasticEnvironment().global_rank()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    done_path = path.with_suffix(".done")
    done = int(done_path.read_text()) if resume and done_path.is_file() else 0
    mode: Literal["r+", "w+"] = "r+" if done else "w+"
    table = np.lib.format.open_memmap(path, mode, np.float16, (len(rows), *shape))
    bar = tqdm(total=len(rows), initial=done, desc=path.stem, mininterval=5)
    for begin in range(done, len(rows), BATCH):
        part = rows[begin : begin + BATCH]
        table[begin : begin + len(part)] = look(part).to("cpu", torch.float16).numpy()
        if begin // BATCH % SAVED_EVERY == SAVED_EVERY - 1 or begin + BATCH >= len(rows):
            table.flush()
            done_path.write_text(str(begin + len(part)))
        bar.update(len(part))
    bar.close()
    return table
