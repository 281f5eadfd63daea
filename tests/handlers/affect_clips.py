"""Clips of noise, and estimators of tiny networks that have learned nothing, to evaluate."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.engines.parts import affect_parts
from handlers.engines.torch_engine import TorchEngine
from handlers.evaluation.affect.agreement import Agreement, agreement
from handlers.evaluation.affect.clips import LabelledClip, People, Trace
from handlers.networks.affect import build
from handlers.networks.variants import variant
from handlers.predictors.affect.estimator import Estimator
from handlers.store import serve
from tests.handlers.affect_folders import speech

Floats = NDArray[np.float32]
NAN = math.nan


def pair(estimates: Sequence[float], labels: Sequence[float]) -> Agreement:
    """Valence from one list of estimates and labels; arousal is its mirror image."""
    x, y = (
        np.array([values, [-v for v in values]], np.float32).T for values in (estimates, labels)
    )
    return agreement(x, y)


def trace(
    estimates: Sequence[float],
    labels: Sequence[float],
    people: People | None = None,
    clip: str = "clip",
    weights: Floats | None = None,
    gate: Sequence[float] | None = None,
) -> Trace:
    """A trace whose arousal is half its valence."""
    count = len(labels)
    both = np.array([1.0, 0.5], np.float32)
    return Trace(
        clip,
        people or {},
        np.arange(count) / 25,
        np.array(labels, np.float32)[:, None] * both,
        np.array(estimates, np.float32)[:, None] * both,
        np.zeros((count, 0), np.float32) if weights is None else weights,
        np.full(count, NAN, np.float32) if gate is None else np.array(gate, np.float32),
        np.ones(count, np.bool_),
        np.ones(count, np.bool_),
    )


def estimator(name: str, seed: int = 0) -> Estimator:
    """A variant of tiny, untrained networks."""
    torch.manual_seed(seed)
    config = variant(name, size="tiny")
    network = build(config)
    engine = TorchEngine(network, affect_parts(network))
    return serve(engine, {"network": asdict(config), "context": 1.25})


def clip(name: str, moments: int = 4, actor: str = "21", sound: bool = True) -> LabelledClip:
    """Noise to look at and to hear, with labels that change."""
    rng = np.random.default_rng(len(name) + moments)
    faces = [rng.integers(0, 256, (128, 128, 3), dtype=np.uint8) for _ in range(moments)]
    labels = rng.uniform(-0.8, 0.8, (moments, 2)).astype(np.float32)
    times = np.arange(moments) / 5
    pcm = speech(moments / 5) if sound else None
    return LabelledClip(name, {"actor": actor}, times, labels, faces, pcm)


def equal(one: Trace, other: Trace) -> bool:
    fields = ("estimates", "weights", "gate", "face", "voice")
    return all(
        np.allclose(getattr(one, name), getattr(other, name), atol=1e-5, equal_nan=True)
        for name in fields
    )
