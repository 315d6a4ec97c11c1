"""Snappy blocks: whole, broken, and made to fill memory."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.formats import FormatError
from checkpointd.formats.snappy import MAX_UNPACKED, unpack, unpack_beginning
from tests.helpers.bundles import packed
from tests.helpers.protobuf import varint

TEXT = b"layer/kernel layer/bias layer/kernel " * 3 + bytes(200) + b"abababababababab"
WRITTEN = bytes.fromhex(
    "c702306c617965722f6b65726e656c20090d0c626961730d0b321800320d00da25000000fe0100fe0100fe01000d"
    "013c61626162616261626162616261626162"
)
"""What the library `cramjam` (Google's format, another implementation) makes of it."""

repetitive = st.lists(st.sampled_from([b"abcd", b"efghijk", b"\0" * 70, b"x"])).map(b"".join)


@given(st.binary(max_size=3000) | repetitive)
def test_a_block_gives_back_what_was_put_in(content: bytes) -> None:
    """And its beginning what stands at the beginning."""
    data = packed(content)
    assert unpack(data) == content
    assert content.startswith(unpack_beginning(data[: len(data) // 2 + 1]))


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (WRITTEN, TEXT),
        (b"\0", b""),
        (b"\1\0a", b"a"),
        (b"\x3d\xf0\x3c" + bytes(61), bytes(61)),
        (b"\x3d\xf4\x3c\0" + bytes(61), bytes(61)),
        (b"\x09\0a\x11\x01", b"a" * 9),
        (b"\x09\x04ab\x1a\x02\0", b"ababababa"),
        (b"\x09\x04ab\x1b\x02\0\0\0", b"ababababa"),
    ],
)
def test_every_element_of_the_format_is_read(data: bytes, content: bytes) -> None:
    """Literals with lengths of up to four bytes, copies with offsets of 11, 16 and 32 bits."""
    assert unpack(data) == content


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    """Garbage gives bytes of the declared length or a FormatError."""
    for read in (unpack, unpack_beginning):
        with contextlib.suppress(FormatError):
            assert len(read(data)) <= 32 * len(data) + 64


def test_the_beginning_of_a_long_literal_is_given() -> None:
    """What a probe reads of an index ends within one when its first bytes do not repeat."""
    content = bytes(range(256)) * 4
    assert unpack_beginning(packed(content)[:64]) == content[:60]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x05\0a",
        b"\x01\0ab",
        b"\x04\x01\x01",
        b"\x05\0a\x01\0",
        b"\x05\0a\x01\x02",
        b"\x05\x10a",
        b"\x02\x10ab",
        b"\x09\0a\x11",
        b"\xff\xff\xff\xff\x0f\0a",
        b"\xff" * 10,
    ],
)
def test_a_block_that_says_otherwise_than_it_holds_is_malformed(data: bytes) -> None:
    """Too short, too long, a copy of what is not there, an element that is cut."""
    with pytest.raises(FormatError) as caught:
        unpack(data)
    assert caught.value.word in ("malformed", "truncated")


def test_a_block_that_would_fill_memory_is_never_unpacked() -> None:
    """A declared length is no reason to make room; one that its bytes cannot give is a lie."""
    element = b"\xfe\1\0"
    bomb = varint(MAX_UNPACKED + 1) + b"\0a" + element * (MAX_UNPACKED // 64 + 1)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as caught:
            unpack(bomb)
        assert caught.value.word == "not_readable"
        with pytest.raises(FormatError, match="cannot"):
            unpack(varint(1 << 31) + bomb[4:1000])
        with pytest.raises(FormatError, match="declared"):
            unpack(varint(100) + b"\0a" + element * 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()
