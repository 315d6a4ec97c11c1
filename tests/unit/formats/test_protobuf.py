"""Fields of protobuf messages: strings, messages, maps, packed numbers, shapes."""

from __future__ import annotations

import pytest

from checkpointd.formats import FormatError
from checkpointd.formats.protobuf import map_entry, messages, packed, tensor_shape, texts
from tests.helpers.protobuf import field


def test_fields_are_chosen_by_their_numbers() -> None:
    """In the order in which the message has them."""
    data = field(1, b"a") + field(2, b"b") + field(3, b"c") + field(1, b"d")
    assert list(texts(data, 1, 3)) == ["a", "c", "d"]
    assert list(messages(data, 2)) == [b"b"]
    with pytest.raises(FormatError):
        list(messages(field(2, 5), 2))


def test_of_a_maps_entry_the_last_key_counts_and_its_message_is_put_together() -> None:
    """A parser merges an embedded message that comes twice."""
    data = field(1, b"x") + field(2, field(1, b"a")) + field(1, b"y") + field(2, field(2, b"b"))
    assert map_entry(data) == ("y", field(1, b"a") + field(2, b"b"))
    assert map_entry(b"") == ("", b"")


def test_packed_numbers_are_signed_and_whole() -> None:
    """What ends within a number is refused."""
    assert list(packed(b"\x01\xac\x02" + b"\xff" * 9 + b"\x01")) == [1, 300, -1]
    for data in (b"\xac", b"\xff" * 4096):
        with pytest.raises(FormatError):
            list(packed(data))


def test_an_open_dimension_is_minus_one() -> None:
    """A dimension without a size is 0."""
    open_one = field(2, field(1, (1 << 64) - 1))
    assert tensor_shape(field(2, field(1, 3)) + open_one + field(2, b"")) == (3, -1, 0)
