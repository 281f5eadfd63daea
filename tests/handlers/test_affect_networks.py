"""The affect networks: shapes of the thesis, joined steps, independent rows."""

from dataclasses import asdict

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from handlers.networks.affect import AffectNetworks, ConditionalNetworks, build
from handlers.networks.combiner import (
    SIZES,
    Combiner,
    Concatenation,
    GatedUnit,
    Memory,
    Recurrence,
    StateAttention,
    Step,
)
from handlers.networks.discriminator import Discriminator
from handlers.networks.latent import Generator
from handlers.networks.variants import VARIANTS, AffectConfig, variant
from tests.handlers.affect_random import networks, noise

HAS_FACE = torch.tensor([True, True, False, False])
HAS_VOICE = torch.tensor([True, False, True, False])
SEQUENTIAL = sorted(name for name, config in VARIANTS.items() if config.recurrent)


def both(seed: int = 3) -> tuple[Tensor, Tensor]:
    return noise(4, 6, 32, 32, seed=seed), noise(4, 6, 32, 32, seed=seed + 1)


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


def test_weights_of_states_that_are_held_sum_to_one() -> None:
    net = networks("vi-des")
    weights = net.sequence(noise(2, 10, 6), net.initial_memory(2)).weights
    assert weights.shape == (2, 10, 8)
    assert_close(weights[:, 0], torch.zeros(2, 8))
    assert_close(weights[:, 1:].sum(-1), torch.ones(2, 9))
    assert (weights[:, 3, :5] == 0).all()
    assert (weights[:, 3, 5:] > 0).all()


def test_the_context_is_the_weighted_sum_over_the_number_of_states() -> None:
    attention = StateAttention(4)
    states, held = noise(1, 3, 4), torch.tensor([2])
    context, weights = attention(states, held)
    scores = (states[0, 1:] @ attention.score.weight.T).softmax(0)
    assert_close(weights[0, 1:], scores[:, 0])
    assert_close(context[0], (scores * states[0, 1:]).sum(0) / 2)


def test_without_states_there_is_no_context() -> None:
    context, weights = StateAttention(4)(noise(1, 3, 4), torch.tensor([0]))
    assert_close(context, torch.zeros(1, 4))
    assert_close(weights, torch.zeros(1, 3))


def test_attention_added_to_a_trained_recurrence_answers_as_before() -> None:
    torch.manual_seed(0)
    plain = Combiner(SIZES["tiny"], 8, recurrent=True).eval()
    attentive = Combiner(SIZES["tiny"], 8, recurrent=True, states=4).eval()
    missing, unexpected = attentive.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == []
    assert all("attention" in name or "context" in name for name in missing)
    features = noise(2, 6, plain.feature_width)
    before = plain.sequence(features, plain.initial_memory(2))
    after = attentive.sequence(features, attentive.initial_memory(2))
    assert_close(before.estimate, after.estimate)


def joined_steps(net: AffectNetworks, features: Tensor, memory: Memory) -> Step:
    steps = []
    for t in range(features.shape[1]):
        steps.append(net.step(features[:, t], memory))
        memory = steps[-1].memory
    estimates, weights, _ = zip(*steps, strict=True)
    return Step(torch.stack(estimates, 1), torch.stack(weights, 1), memory)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_variant_is_built_from_what_a_checkpoint_keeps(name: str) -> None:
    config = variant(name, "tiny")
    kept = {**asdict(config), "modalities": list(config.modalities)}
    assert AffectConfig.read(kept) == config
    state = build(config).state_dict()
    build(AffectConfig.read(kept)).load_state_dict(state)


@pytest.mark.parametrize(
    "changes",
    [
        {"fusion": "gate"},
        {"modalities": ("face", "voice")},
        {"modalities": ("face", "voice"), "fusion": "sum"},
        {"estimator": "oracle"},
        {"estimator": "discriminator", "modalities": ("voice",)},
        {"generator": False},
        {"norm": "none"},
    ],
)
def test_a_configuration_without_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"fusion|fit|estimator|discriminator|normalisation"):
        build(variant("vi-de", "tiny", **changes))


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_a_whole_sequence_equals_its_joined_steps(name: str) -> None:
    net = networks(name)
    features, start = noise(3, 11, net.combiner.feature_width), net.initial_memory(3)
    whole, joined = net.sequence(features, start), joined_steps(net, features, start)
    assert_close(whole, joined)
    assert whole.estimate.shape == (3, 11, 2)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_what_was_said_of_a_prefix_never_changes_later(name: str) -> None:
    net = networks(name)
    features = noise(2, 9, net.combiner.feature_width)
    whole = net.sequence(features, net.initial_memory(2))
    prefix = net.sequence(features[:, :5], net.initial_memory(2))
    assert_close(prefix.estimate, whole.estimate[:, :5])


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_rows_of_a_batch_are_independent(name: str) -> None:
    net = networks(name)
    features = noise(3, 4, net.combiner.feature_width)
    together = net.sequence(features, net.initial_memory(3))
    for row in range(3):
        alone = net.sequence(features[row : row + 1], net.initial_memory(1))
        assert_close(alone.estimate[0], together.estimate[row])


@pytest.mark.parametrize("name", ["vi-des", "anclaf-s"])
def test_a_step_remembers_and_leaves_the_given_memory_alone(name: str) -> None:
    net = networks(name)
    features, memory = noise(1, net.combiner.feature_width), net.initial_memory(1)
    first = net.step(features, memory)
    assert_close(memory, net.initial_memory(1))
    assert not torch.allclose(first.estimate, net.step(features, first.memory).estimate)


def test_memory_passes_by_frames_at_which_nothing_is_there() -> None:
    net = networks("vi-des")
    features, present = noise(2, 5, net.combiner.feature_width), torch.ones(2, 5, dtype=torch.bool)
    present[1, 2:4] = False
    after = net.sequence(features, net.initial_memory(2), present).memory
    seen = net.sequence(features[1:, [0, 1, 4]], net.initial_memory(1)).memory
    assert_close({name: tensor[1:] for name, tensor in after.items()}, seen)


def test_the_recurrence_is_an_lstm() -> None:
    torch.manual_seed(0)
    ours, reference = Recurrence(6, 5, states=0), torch.nn.LSTM(6, 5, batch_first=True)
    with torch.no_grad():
        reference.weight_ih_l0.copy_(ours.inputs.weight)
        reference.bias_ih_l0.copy_(ours.inputs.bias)
        reference.weight_hh_l0.copy_(ours.recurrent.weight)
        reference.bias_hh_l0.zero_()
    features, memory = noise(2, 4, 6), ours.initial_memory(2)
    for t in range(4):
        hidden, _, memory = ours.step(ours.inputs(features[:, t]), memory)
    expected, (_, cell) = reference(features)
    assert_close(hidden, expected[:, -1])
    assert_close(memory["c"], cell[0])


def test_half_precision_between_steps_hardly_changes_answers() -> None:
    torch.manual_seed(0)
    net = build(variant("vi-des")).eval()
    assert isinstance(net, AffectNetworks)
    torch.nn.init.normal_(net.combiner.recurrence.context.weight, std=0.05)  # type: ignore[union-attr]
    features, memory, halved = noise(2, 40, 256) * 3, net.initial_memory(2), net.initial_memory(2)
    for t in range(40):
        exact, rough = net.step(features[:, t], memory), net.step(features[:, t], halved)
        assert_close(rough.estimate, exact.estimate, atol=1e-2, rtol=0)
        memory = exact.memory
        halved = {
            name: tensor.half().float() if tensor.is_floating_point() else tensor
            for name, tensor in rough.memory.items()
        }


def test_each_frame_is_encoded_by_itself() -> None:
    net = networks("vi-de")
    images = noise(3, 3, 128, 128)
    zq, logits = net.encode("face", images)
    assert zq.shape == (3, net.planes, 32, 32)
    for row in range(3):
        alone = net.encode("face", images[row : row + 1])
        assert_close((zq[row : row + 1], logits[row : row + 1]), alone)


def test_the_generator_serves_what_it_was_trained_to_say() -> None:
    generator, images = networks("vi-de").branches["face"].generator, noise(2, 3, 128, 128)
    served = generator(images.contiguous(memory_format=torch.channels_last))
    assert_close(generator.train()(images), served, atol=1e-5, rtol=1e-5)


def test_the_last_planes_of_zq_are_the_probabilities_of_the_quadrants() -> None:
    zq, logits = networks("vi-de").encode("face", noise(2, 3, 128, 128))
    planes = zq[:, -4:]
    assert_close(planes.sum(1), torch.ones(2, 32, 32))
    assert_close(planes[:, :, 0, 0], logits.softmax(-1))
    assert_close(planes.amax((2, 3)), planes.amin((2, 3)))


def test_gradients_reach_every_part_of_every_variant() -> None:
    for name in ("avi-gas", "avi-cas", "vi-de"):
        net = networks(name).train()
        zq = {kind: net.encode(kind, noise(4, 3, 128, 128))[0] for kind in net.config.modalities}
        fused = net.join(zq.get("face"), zq.get("voice"))
        memory = net.initial_memory(4)
        for _ in range(2):
            step = net.step(net.features(fused.planes), memory)
            memory = step.memory
        step.estimate.sum().backward()
        idle = [n for n, p in net.named_parameters() if p.grad is None and "realness" not in n]
        assert idle == []


@pytest.mark.parametrize("name", ["disc", "aeg-cd", "aeg-cd-sz"])
def test_the_conditional_discriminator_answers_each_row_by_itself(name: str) -> None:
    torch.manual_seed(0)
    net = build(variant(name, "tiny")).eval()
    assert isinstance(net, ConditionalNetworks)
    images, sound = noise(2, 3, 128, 128), noise(2, 50)
    together = net(images, sound)
    assert together.estimate.shape == (2, 2)
    assert together.realness.shape == (2, 1, 4, 4)
    assert_close(net(images[:1], sound[:1]).estimate, together.estimate[:1])


def test_only_the_conditioned_discriminator_hears() -> None:
    images = noise(1, 3, 128, 128)
    for name, hears in (("aeg-cd", False), ("aeg-cd-sz", True)):
        net = build(variant(name, "tiny")).eval()
        quiet, loud = net(images, noise(1, 50)), net(images, noise(1, 50, seed=2) * 9)
        assert torch.equal(quiet.estimate, loud.estimate) is not hears


def test_a_conditioned_discriminator_asks_for_its_sound() -> None:
    net = build(variant("aeg-cd-sz", "tiny")).eval()
    with pytest.raises(ValueError, match="descriptors"):
        net(noise(1, 3, 128, 128))


@pytest.mark.slow
def test_the_thesis_size_has_the_layers_of_the_tables() -> None:
    with torch.device("meta"):
        net = build(variant("anclaf-sa", "thesis"))
        image = torch.empty(1, 3, 128, 128)
        assert isinstance(net, AffectNetworks)
        branch = net.branches["face"]
        assert isinstance(branch.generator, Generator)
        assert isinstance(branch.discriminator, Discriminator)
        z, cleaned = branch.generator(image)
        assert z.shape == (1, 128, 32, 32)
        assert cleaned.shape == image.shape
        assert branch.discriminator.encoder(cleaned).shape == (1, 1024, 4, 4)
        assert branch.discriminator(cleaned).realness.shape == (1, 1, 4, 4)
        assert net.features(torch.empty(1, 132, 32, 32)).shape == (1, 1024)
        assert net.initial_memory(1)["states"].shape == (1, 8, 1024)
