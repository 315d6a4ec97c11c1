"""A serialised message with its maps sorted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.formats import FormatError
from checkpointd.verify.scan.canonical import Shape, canonical
from tests.helpers.protobuf import field

SHAPE = Shape(maps={2: Shape(maps={1: None})}, messages={3: Shape(maps={1: None})})
names = st.lists(st.text(max_size=4), unique=True, max_size=5)


def entries(number: int, keys: list[str], value: bytes = b"v") -> bytes:
    """A map's entries in the order given."""
    return b"".join(field(number, field(1, k.encode()) + field(2, value)) for k in keys)


@given(outer=names, inner=names, seed=st.integers())
def test_the_order_of_a_maps_entries_makes_no_difference(
    outer: list[str], inner: list[str], seed: int
) -> None:
    """However the entries of nested maps are ordered, the result is the same and sorted."""
    shuffled = random.Random(seed).sample  # noqa: S311 - an order for a test
    some = field(1, 7) + entries(2, outer, entries(1, inner)) + field(3, entries(1, inner))
    mixed = (
        field(1, 7)
        + entries(2, shuffled(outer, len(outer)), entries(1, shuffled(inner, len(inner))))
        + field(3, entries(1, shuffled(inner, len(inner))))
    )
    result = canonical(some, SHAPE)
    assert canonical(mixed, SHAPE) == result
    assert canonical(result, SHAPE) == result
    assert len(result) == len(some)


def test_keys_that_are_numbers_are_sorted_as_numbers() -> None:
    """300 comes after 2, although its bytes do not."""
    keys = [300, 2, 0]
    data = b"".join(field(1, field(1, k) + field(2, b"v")) for k in keys)
    expected = b"".join(field(1, field(1, k) + field(2, b"v")) for k in sorted(keys))
    assert canonical(data, Shape(maps={1: None})) == expected


def test_what_is_no_message_is_refused() -> None:
    """A damaged file differs from one in another order."""
    with pytest.raises(FormatError):
        canonical(b"\x0a\xff\xff", SHAPE)
