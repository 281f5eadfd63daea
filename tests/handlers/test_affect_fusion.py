"""Face and voice joined: the gate of the equations, and what is missing counts for nothing."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from handlers.networks.gate import Concatenation, GatedUnit
from tests.handlers.affect_random import noise


def both(seed: int = 3) -> tuple[Tensor, Tensor]:
    return noise(4, 6, 32, 32, seed=seed), noise(4, 6, 32, 32, seed=seed + 1)


HAS_FACE = torch.tensor([True, True, False, False])
HAS_VOICE = torch.tensor([True, False, True, False])


def test_a_missing_modality_closes_its_side_of_the_gate() -> None:
    gate = GatedUnit(6)(*both(), HAS_FACE, HAS_VOICE).gate
    assert 0 < gate[0] < 1
    assert gate[1] == 1
    assert gate[2] == 0


@pytest.mark.parametrize("kind", [GatedUnit, Concatenation])
def test_what_stands_in_the_place_of_a_missing_modality_does_not_matter(kind: type) -> None:
    face, voice = both()
    unit = kind(6)
    first = unit(face, voice, HAS_FACE, HAS_VOICE).planes
    face, voice = face.clone(), voice.clone()
    face[2:], voice[[1, 3]] = torch.nan, torch.nan
    assert_close(unit(face, voice, HAS_FACE, HAS_VOICE).planes, first)
    assert_close(first[3], torch.zeros_like(first[3]))


def test_the_gate_weighs_the_two_sides_as_the_equation_says() -> None:
    face, voice = both()
    unit, there = GatedUnit(6), torch.ones(4, dtype=torch.bool)
    z = torch.sigmoid(unit.gate(torch.cat([face, voice], 1)))
    expected = z * torch.tanh(unit.face(face)) + (1 - z) * torch.tanh(unit.voice(voice))
    fused = unit(face, voice, there, there)
    assert_close(fused.planes, expected)
    assert_close(fused.gate, z.mean((1, 2, 3)))


def test_joined_planes_stand_side_by_side() -> None:
    face, voice = both()
    there = torch.ones(4, dtype=torch.bool)
    assert_close(Concatenation(6)(face, voice, there, there).planes, torch.cat([face, voice], 1))
