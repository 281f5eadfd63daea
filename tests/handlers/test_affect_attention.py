"""The attention over past states, as the equations have it."""

import torch
from torch.testing import assert_close

from handlers.networks.combiner import SIZES, Combiner, StateAttention
from tests.handlers.affect_random import networks, noise


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
