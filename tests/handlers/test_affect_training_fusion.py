"""Fusion learnt on single frames: what C knew of faces stays, whatever is missing in a batch."""

import numpy as np
import pytest
import torch

from handlers.networks.variants import FACE, VARIANTS, VOICE
from handlers.training.affect import stages as fusion
from handlers.training.affect.stages import FusionLearner, start
from handlers.training.loop import Batch
from tests.handlers.affect_recordings import tiny

SINGLE = {FACE: tiny("vi-de"), VOICE: tiny("au-de")}
STEPS = 40


def learner_of(name: str) -> FusionLearner:
    return FusionLearner(start(VARIANTS[name], SINGLE), SINGLE[FACE]).train()


def batch_of(has_face: bool = True, rows: int = 8) -> Batch:
    rng = np.random.default_rng(5)
    planes = SINGLE[FACE].planes
    face, voice = (
        torch.from_numpy(rng.uniform(0, 1, (rows, planes, 32, 32)).astype(np.float32))
        for _ in range(2)
    )
    return {
        "face": face,
        "voice": voice,
        "has_face": torch.full((rows,), has_face),
        "has_voice": torch.ones(rows, dtype=torch.bool),
        "label": torch.from_numpy(rng.uniform(-1, 1, (rows, 2)).astype(np.float32)),
    }


def strayed_after(steps: int) -> float:
    learner, batch = learner_of("avi-gas"), batch_of()
    learnt = [one for one in learner.parameters() if one.requires_grad]
    optimiser = torch.optim.Adam(learnt, lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        learner(batch, 0.0)["loss"].backward()
        optimiser.step()
    return float(learner(batch, 0.0)["kept"])


def test_a_gated_unit_begins_with_what_the_face_alone_tells() -> None:
    assert float(learner_of("avi-gas")(batch_of(), 0.0)["kept"]) < 0.05


def test_what_is_known_of_faces_is_kept_while_voices_are_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = strayed_after(STEPS)
    monkeypatch.setattr(fusion, "KEEP", 0.0)
    assert kept < 0.25 * strayed_after(STEPS)


@pytest.mark.parametrize("name", ["avi-gas", "avi-cas"])
def test_a_batch_without_a_face_can_be_learnt_from(name: str) -> None:
    losses = learner_of(name)(batch_of(has_face=False), 0.0)
    losses["loss"].backward()
    assert float(losses["kept"]) == 0
    assert torch.isfinite(losses["loss"])


def test_normalisation_and_the_network_of_the_face_hold_still() -> None:
    learner = learner_of("avi-gas")
    assert learner.networks.combiner.dropout.training
    assert not learner.networks.combiner.encoder.training
    assert not learner.single.training
    assert not any(one.requires_grad for one in learner.single.parameters())
