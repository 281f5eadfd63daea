"""Messages between service and handlers come back as they were sent, or are refused by reason."""

import contextlib

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from handlers.wire import DTYPES, WireError, pack, read_request, unpack, write_error, write_reply


@given(
    hnp.arrays(
        st.sampled_from(sorted(DTYPES)),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
)
def test_an_array_of_any_type_and_shape_comes_back(array: np.ndarray) -> None:
    back = unpack(pack({"deep": [{"array": array}]}))["deep"][0]["array"]
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_big_endian_and_strided_arrays_keep_their_values() -> None:
    array = np.arange(24, dtype=">i4").reshape(4, 6)[::2, ::-3]
    np.testing.assert_array_equal(unpack(pack({"array": array}))["array"], array)


def test_numpy_numbers_travel_as_plain_numbers() -> None:
    assert unpack(pack({"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True)})) == {
        "a": 0.5,
        "b": 3,
        "c": True,
    }


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        ({"dtype": "uint8", "shape": [2, 2], "data": b"123"}, "needs 4 bytes, 3 came"),
        ({"dtype": "uint8", "shape": [-1, -3], "data": b"123"}, "shape"),
        ({"dtype": "uint8", "shape": [True], "data": b"1"}, "shape"),
        ({"dtype": "uint8", "shape": "1", "data": b"1"}, "shape"),
        ({"dtype": "uint8", "shape": [2**20, 2**20], "data": b""}, "needs"),
        ({"dtype": "uint8", "shape": [0, 2**63], "data": b""}, "shape"),
        ({"dtype": "uint8", "shape": [1] * 40, "data": b"1"}, "shape"),
        ({"dtype": "object", "shape": [1], "data": b"12345678"}, "object"),
        ({"dtype": ["uint8"], "shape": [1], "data": b"1"}, "uint8"),
        ({"dtype": "uint8", "shape": [1], "data": "1"}, "bytes"),
    ],
)
def test_a_wrong_array_is_refused_by_reason(array: dict[str, object], reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        unpack(msgpack.packb({"array": array}))


@pytest.mark.parametrize(
    "blob",
    [b"", b"\xc1", b"\x81\xa1a", msgpack.packb([1]), msgpack.packb({1: 2}), b"\x91" * 5000],
    ids=["empty", "never used", "cut off", "a list", "number as key", "nested too deep"],
)
def test_what_is_no_message_is_refused(blob: bytes) -> None:
    with pytest.raises(WireError):
        unpack(blob)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_map_or_a_wire_error(blob: bytes) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(unpack(blob), dict)


def test_a_message_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(WireError, match="at most 10 "):
        unpack(b"\xc1" * 11, max_bytes=10)


def test_what_has_no_form_is_not_sent() -> None:
    with pytest.raises(WireError, match="set"):
        pack({"value": {1}})
    with pytest.raises(WireError, match="complex64"):
        pack({"value": np.zeros(1, np.complex64)})


def test_a_request_is_read_from_any_bytes_like_object() -> None:
    request = read_request(bytearray(pack({"inputs": {"image": b"x"}, "state": b"s"})))
    assert request.inputs == {"image": b"x"}
    assert request.options == {}
    assert request.state == b"s"


def test_a_row_that_was_never_packed_is_read_like_a_packed_one() -> None:
    array = {"dtype": "uint8", "shape": [1, 2], "data": b"xy"}
    row = {"inputs": {"frames": [array, None], "times_s": (0.0, 1.0)}, "options": {"a": 1}}
    packed, bare = read_request(pack(row)), read_request(row)
    assert bare.inputs["times_s"] == packed.inputs["times_s"] == [0.0, 1.0]
    np.testing.assert_array_equal(bare.inputs["frames"][0], packed.inputs["frames"][0])
    assert (bare.inputs["frames"][1], bare.options, bare.state) == (None, {"a": 1}, None)
    with pytest.raises(WireError, match="needs 4 bytes"):
        read_request({"inputs": {"frames": [{**array, "shape": [2, 2]}]}})


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({}, "inputs is a NoneType"),
        ({"inputs": []}, "inputs is a list"),
        ({"inputs": {}, "options": None}, "options is a NoneType"),
        ({"inputs": {}, "state": "text"}, "state is a str"),
        ({"inputs": {}, "more": 1}, "more"),
    ],
)
def test_a_malformed_request_is_refused_by_reason(message: dict[str, object], reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        read_request(pack(message))


def test_replies_hold_outputs_and_only_streams_have_a_state() -> None:
    assert unpack(write_reply({"n": 1})) == {"outputs": {"n": 1}}
    assert unpack(write_reply({"n": 1}, b"s")) == {"outputs": {"n": 1}, "state": b"s"}
    assert unpack(write_error("internal", "why")) == {
        "error": {"type": "internal", "detail": "why"}
    }
