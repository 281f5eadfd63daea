"""Pieces of recordings to what fusion and memory learn from, computed once and kept on disk.

The latent maps ZQ of some frames are kept for the fusion, of all frames only C's features: the
maps of all would take tens of times the room of the faces.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from handlers.networks.affect import AffectNetworks
from handlers.networks.variants import FACE, VOICE
from handlers.processing.arrays import Halves, Ints
from handlers.training.affect.gating import gate_bank
from handlers.training.affect.made.clips import Clip, ModalityHealth
from handlers.training.affect.made.speech import to_tensor as sound_to_tensor
from handlers.training.affect.made.studio import GATE_COUNT, IndexedClip, Studio
from handlers.training.affect.recorded.pieces import Piece
from handlers.training.affect.sequences import FeatureClip
from handlers.training.faces import to_tensor as faces_to_tensor
from handlers.training.loop import make_fabric
from handlers.training.recipe import RecipeError

BATCH = 64
SAVED_EVERY = 100  # batches
Rows = NDArray[np.int32]  # of frames: the place of the piece, and the moment in it
Frame = tuple[Piece, int]


def keep(
    path: Path,
    rows: Rows,
    shape: tuple[int, ...],
    look: Callable[[Rows], Tensor],
    resume: bool,
) -> Halves:
    """Store `look`'s result for every frame, in half precision as a memory map; what
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


def feature_clips(
    networks: AffectNetworks, pieces: Sequence[Piece], folder: Path, resume: bool
) -> list[FeatureClip]:
    """Compute C's features of all frames; the mean gate is the last column on disk."""
    fabric = make_fabric("bf16-mixed")
    fabric.to_device(networks.eval())
    rows = _rows([np.arange(len(piece)) for piece in pieces])
    width = (networks.combiner.feature_width + 1,)

    def look(part: Rows) -> Tensor:
        return _features(networks, fabric, _frames(pieces, part))

    path = folder / f"features-{_digest(networks, pieces)}.npy"
    table = keep(path, rows, width, look, resume)
    ends = np.cumsum([len(piece) for piece in pieces])
    used = networks.config.modalities
    return [
        FeatureClip(
            part[:, :-1],
            part[:, -1],
            piece.labels,
            np.any([piece.there(name) for name in used], axis=0),
        )
        for piece, part in zip(pieces, np.split(table, ends[:-1]), strict=True)
    ]


def fusion_studio(
    parts: dict[str, AffectNetworks],
    pieces: Sequence[Piece],
    most: int,
    seed: int,
    folder: Path,
    resume: bool,
) -> Studio:
    """Return maps of at most so many random frames of both modalities, and what a gate is taught
    with.

    Raises RecipeError where the recordings lack one of the modalities.
    """
    rng = np.random.default_rng([seed, 1])
    rows = _rows([np.flatnonzero(one.there(FACE) | one.there(VOICE)) for one in pieces])
    chosen = rows[np.sort(rng.permutation(len(rows))[:most])]
    fabric = make_fabric("bf16-mixed")
    maps = {}
    for name, part in parts.items():
        fabric.to_device(part.eval())
        path = folder / f"{name}-{_digest(part, pieces)}-{most}.npy"
        shape = (part.planes, 32, 32)

        def look(some: Rows, name: str = name, part: AffectNetworks = part) -> Tensor:
            return _maps(part, fabric, name, _frames(pieces, some))[0]

        maps[name] = torch.from_numpy(keep(path, chosen, shape, look, resume))
    good = {name: _good(pieces, rows, name, rng) for name in (FACE, VOICE)}
    crops = [piece.face(index) for piece, index in good[FACE]]
    windows = [piece.window(index) for piece, index in good[VOICE]]
    bank = gate_bank(parts, crops, windows, rng)
    return Studio(maps[FACE], maps[VOICE], [_staged(_frames(pieces, chosen))], bank)


@torch.inference_mode()
def _features(networks: AffectNetworks, fabric: Fabric, frames: Sequence[Frame]) -> Tensor:
    """Return features `(B, width)` and behind them the mean gate, -1 without one."""
    found = {name: _maps(networks, fabric, name, frames) for name in networks.config.modalities}
    face, has_face = found.get(FACE, (None, None))
    voice, has_voice = found.get(VOICE, (None, None))
    with fabric.autocast():
        fused = networks.join(face, voice, has_face, has_voice)
        features = networks.features(fused.planes).float()
    gate = features.new_full((len(frames),), -1.0) if fused.gate is None else fused.gate.float()
    return torch.cat([features, gate[:, None]], dim=1)


@torch.inference_mode()
def _maps(
    networks: AffectNetworks, fabric: Fabric, modality: str, frames: Sequence[Frame]
) -> tuple[Tensor, Tensor]:
    """Return ZQ `(B, planes, 32, 32)` of one modality, zeros where it is missing, and where it is
    not."""
    there = [bool(piece.there(modality)[index]) for piece, index in frames]
    known = [frame for frame, used in zip(frames, there, strict=True) if used]
    has = fabric.to_device(torch.tensor(there))
    maps = torch.zeros(len(frames), networks.planes, 32, 32, device=fabric.device)
    if known:
        inputs = fabric.to_device(_inputs(modality, known))
        with fabric.autocast():
            maps[has] = networks.encode(modality, inputs)[0].float()
    return maps, has


def _inputs(modality: str, frames: Sequence[Frame]) -> Tensor:
    if modality == FACE:
        return faces_to_tensor([piece.face(index) for piece, index in frames])
    return sound_to_tensor([piece.window(index) for piece, index in frames])


def _rows(moments: Sequence[Ints]) -> Rows:
    """Return moments of every piece as rows."""
    places = np.repeat(np.arange(len(moments)), [len(part) for part in moments])
    return np.stack([places, np.concatenate(moments)], axis=1).astype(np.int32)


def _frames(pieces: Sequence[Piece], rows: Rows) -> list[Frame]:
    return [(pieces[place], moment) for place, moment in rows.tolist()]


def _good(
    pieces: Sequence[Piece], rows: Rows, modality: str, rng: np.random.Generator
) -> list[Frame]:
    """Return frames where a modality is there and as it should be."""
    found: list[Frame] = []
    for row in rng.permutation(len(rows)):
        ((piece, index),) = _frames(pieces, rows[row : row + 1])
        health = piece.face_health if modality == FACE else piece.voice_health
        if piece.there(modality)[index] and health[index] == ModalityHealth.GOOD:
            found.append((piece, index))
        if len(found) == GATE_COUNT:
            break
    if not found:
        raise RecipeError(f"the recordings have no {modality}: nothing can be joined to the other")
    return found


def _staged(frames: Sequence[Frame]) -> IndexedClip:
    """Return frames as those of one clip, each with the maps of its own row."""
    rows = np.arange(len(frames))
    has = [np.array([piece.there(name)[i] for piece, i in frames]) for name in (FACE, VOICE)]
    clip = Clip(
        "",
        np.stack([piece.labels[i] for piece, i in frames]),
        rows,
        np.array([piece.face_health[i] for piece, i in frames]),
        rows,
        np.zeros(len(frames), np.float32),
        np.array([piece.voice_health[i] for piece, i in frames]),
    )
    return IndexedClip(clip, rows, rows, has[0], has[1])


def _digest(networks: nn.Module, pieces: Sequence[Piece]) -> str:
    """Return what changes with the weights and the pieces."""
    found = hashlib.sha256(b"".join(piece.key() for piece in pieces))
    for name, tensor in networks.state_dict().items():
        found.update(name.encode() + tensor.cpu().float().numpy().tobytes())
    return found.hexdigest()[:16]
