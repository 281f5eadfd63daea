"""States of streams: stored and resumed they are what they were, and nobody steps on another's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from handlers.wire import ForeignState, StateError, dump_state, load_state

MODEL = {"model": "track", "sha256": "ab" * 32, "schema": 2}
Floats = NDArray[np.float32]
State = dict[str, NDArray[Any]]


def dump(tensors: State, step: int = 0, **other: object) -> bytes:
    return dump_state(tensors, step=step, **{**MODEL, **other})  # type: ignore[arg-type]


def load(blob: bytes) -> tuple[State, int]:
    return load_state(blob, **MODEL)  # type: ignore[arg-type]


def step(state: State, x: Floats) -> tuple[float, State]:
    """A tiny recurrent network: a pure function of input and state."""
    memory = np.tanh(state["memory"] * np.float32(0.5) + x)
    return float(memory.sum()), {"memory": memory, "count": state["count"] + 1}


def noise(*shape: int) -> Floats:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def start() -> State:
    return {"memory": np.zeros((3, 2), np.float32), "count": np.array(0)}


def test_a_state_comes_back_with_types_shapes_and_step() -> None:
    tensors = {
        "half": noise(2, 3).astype(np.float16),
        "turned": np.arange(6).reshape(2, 3).T,
        "flag": np.array([True, False]),
        "nothing": np.zeros((0, 4), np.float32),
    }
    back, steps = load(dump(tensors, 7))
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        np.testing.assert_array_equal(back[name], tensor)
    assert steps == 7


def test_storing_and_resuming_equals_running_through() -> None:
    inputs = noise(10, 3, 2)
    through, stored = start(), dump(start())
    for index, x in enumerate(inputs):
        result, through = step(through, x)
        state, steps = load(stored)
        assert steps == index
        resumed, state = step(state, x)
        stored = dump(state, steps + 1)
        assert resumed == result


def test_two_interleaved_sessions_equal_two_separate_ones() -> None:
    streams = noise(2, 8, 3, 2)
    alone = []
    for stream in streams:
        state = start()
        for x in stream:
            result, state = step(state, x)
        alone.append(result)
    store = [dump(start()), dump(start())]
    for time in range(8):
        for session in (1, 0):
            result, state = step(load(store[session])[0], streams[session, time])
            store[session] = dump(state, time + 1)
            if time == 7:
                assert result == alone[session]


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"model": "affect"}, r"affect .*track"),
        ({"schema": 1}, r"schema 1.*schema 2"),
        ({"sha256": "cd" * 32}, r"cdcdcd.*ababab"),
    ],
)
def test_a_foreign_state_is_refused_naming_both(other: dict[str, object], named: str) -> None:
    with pytest.raises(ForeignState, match=named):
        load(dump(start(), **other))


def test_a_state_cut_off_anywhere_is_refused() -> None:
    blob = dump(start())
    for length in range(len(blob)):
        with pytest.raises(StateError):
            load(blob[:length])


def test_safetensors_of_somebody_else_are_refused() -> None:
    from safetensors.numpy import save

    with pytest.raises(StateError, match="lacks metadata"):
        load(save({"memory": np.zeros(1)}))


@given(st.binary(max_size=300))
def test_random_bytes_are_no_state(blob: bytes) -> None:
    with pytest.raises(StateError):
        load(blob)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_never_raises_anything_else(place: int, change: int) -> None:
    blob = bytearray(dump(start(), 3))
    blob[place % len(blob)] ^= change
    try:
        tensors, _ = load(bytes(blob))
    except StateError:
        return
    assert all(isinstance(tensor, np.ndarray) for tensor in tensors.values())
