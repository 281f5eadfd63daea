"""C's memory learnt on the features of clips: 2, 4, 8 frames, then attention, then longer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from handlers.networks.affect import AffectNetworks
from handlers.networks.variants import FACE, VOICE
from handlers.processing.arrays import Bools, Floats, Halves, Ints
from handlers.training.affect.losses import affect_loss
from handlers.training.affect.made.studio import IndexedClip, Studio
from handlers.training.loop import Batch, Losses, make_fabric

BATCH = 128
STRIDES = (1, 1, 2, 3, 5)  # frames of a clip skipped: other frame rates than 25 a second


@dataclass(frozen=True, eq=False)
class FeatureClip:
    """C's features `(T, width)` of a clip's frames, the mean gate `(T,)`, labels `(T, 2)`, and
    where there was anything to look at or listen to, `(T,)`."""

    features: Floats | Halves
    gate: Floats | Halves
    labels: Floats
    present: Bools


def feature_clips(networks: AffectNetworks, studio: Studio) -> list[FeatureClip]:
    """Compute C's features of the frames of made clips; equal frames are looked at once."""
    used = networks.config.modalities
    keys = [_keys(one, FACE in used, VOICE in used) for one in studio.clips]
    frames, back = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    features, gate = _features(networks, studio, frames)
    rows = np.split(back.reshape(-1), np.cumsum([len(part) for part in keys])[:-1])
    return [
        FeatureClip(features[row], gate[row], one.clip.labels, part[:, 2:].sum(axis=1) > 0)
        for one, row, part in zip(studio.clips, rows, keys, strict=True)
    ]


def _keys(one: IndexedClip, sees: bool, hears: bool) -> Ints:
    """Return of every frame the rows of its maps and which modalities are used `(T, 4)`."""
    face, voice = one.has_face & sees, one.has_voice & hears
    return np.stack([one.face * face, one.voice * voice, face, voice], axis=1).astype(np.int64)


@torch.inference_mode()
def _features(networks: AffectNetworks, studio: Studio, frames: Ints) -> tuple[Floats, Floats]:
    fabric = make_fabric("bf16-mixed")
    fabric.to_device(networks)
    networks.eval()
    features, gates = [], []
    for begin in range(0, len(frames), BATCH):
        part = frames[begin : begin + BATCH]
        flags = fabric.to_device(torch.from_numpy(part[:, 2:].astype(bool)))
        face, voice = (
            fabric.to_device(maps[torch.from_numpy(part[:, side])]).float()
            for side, maps in enumerate((studio.faces, studio.voices))
        )
        with fabric.autocast():
            fused = networks.join(face, voice, flags[:, 0], flags[:, 1])
            features.append(networks.features(fused.planes).float().cpu())
        gate = torch.full((len(part),), -1.0) if fused.gate is None else fused.gate.cpu()
        gates.append(gate)
    return torch.cat(features).numpy(), torch.cat(gates).numpy()


class SequenceBatches:
    """Draws runs of `frames` frames of clips, at random rates: `features`, `label`, `present`.

    Raises ValueError where no clip is longer than that.
    """

    def __init__(self, clips: Sequence[FeatureClip], frames: int) -> None:
        self.clips = [clip for clip in clips if len(clip.labels) > frames]
        self.frames = frames
        if not self.clips:
            raise ValueError(f"no clip is longer than {frames} frames")

    def __call__(self, rng: np.random.Generator, size: int) -> Batch:
        drawn = [self._draw(rng) for _ in range(size)]
        features, labels, present = (np.stack(parts) for parts in zip(*drawn, strict=True))
        return {
            "features": torch.from_numpy(features),
            "label": torch.from_numpy(labels),
            "present": torch.from_numpy(present),
        }

    def _draw(self, rng: np.random.Generator) -> tuple[Floats, Floats, Bools]:
        clip = self.clips[int(rng.integers(len(self.clips)))]
        stride = min(int(rng.choice(STRIDES)), (len(clip.labels) - 1) // self.frames)
        begin = int(rng.integers(len(clip.labels) - stride * self.frames))
        run = slice(begin, begin + stride * self.frames, stride)
        features = np.asarray(clip.features[run], np.float32)
        return features, clip.labels[run], clip.present[run]


class SequenceLearner(nn.Module):
    """Learns what comes behind C's convolutions: memory, attention, answer.

    `dropout` is that of C's features meanwhile, in place of its own.
    """

    def __init__(self, networks: AffectNetworks, dropout: float) -> None:
        super().__init__()
        self.networks = networks
        networks.combiner.dropout.p = dropout
        networks.requires_grad_(False)
        networks.combiner.answer.requires_grad_(True)
        if networks.combiner.recurrence is not None:
            networks.combiner.recurrence.requires_grad_(True)

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Turn `features` `(B, T, width)`, `label` `(B, T, 2)`, `present` `(B, T)` into the
        losses."""
        features, present = batch["features"], batch["present"]
        memory = self.networks.initial_memory(len(features))
        estimate: Tensor = self.networks.sequence(features, memory, present).estimate
        weights = present[..., None].expand_as(estimate)[present].float()
        loss = affect_loss(estimate[present], batch["label"][present], weights)
        return {"loss": loss, "affect": loss.detach()}


@torch.inference_mode()
def follow(networks: AffectNetworks, clip: FeatureClip) -> Floats:
    """Return estimates `(T, 2)` along a whole clip, as a stream gives them.

    Where nothing is there the last estimate stands, at the start neutral.
    """
    networks.eval()
    features = torch.from_numpy(clip.features)[None]
    present = torch.from_numpy(clip.present)[None]
    found = networks.sequence(features, networks.initial_memory(1), present).estimate[0].numpy()
    last = np.maximum.accumulate(np.where(clip.present, np.arange(len(found)), -1))
    return np.where(last[:, None] >= 0, found[np.maximum(last, 0)], 0).astype(np.float32)
