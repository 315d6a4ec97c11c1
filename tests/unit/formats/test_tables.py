"""The reading side of tables, bundles and messages: whole, broken and hostile."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.formats import FormatError
from checkpointd.formats.protobuf import fields, signed, walk
from checkpointd.formats.table import read_entries, read_table, unmask
from checkpointd.formats.tf_checkpoint import is_model, read_index, shard_path
from tests.helpers.bundles import block, bundle, header, mask, table
from tests.helpers.protobuf import field, varint


def entries(data: bytes, *, checked: bool = True) -> list[tuple[bytes, bytes]]:
    """Read a table from memory."""

    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    return list(read_entries(read, len(data), google_crc32c.value if checked else None))


@given(
    st.dictionaries(st.binary(max_size=40), st.binary(max_size=60)),
    st.integers(1, 5),
    st.booleans(),
)
def test_a_table_gives_back_what_was_put_in(
    content: dict[bytes, bytes],
    per_block: int,
    snappy: bool,
) -> None:
    """Whatever the keys share, however many blocks there are, plain or compressed."""
    pairs = sorted(content.items())
    assert entries(table(pairs, per_block, snappy=snappy)) == pairs


@given(st.data())
def test_a_damaged_table_gives_an_error_and_nothing_else(data: st.DataObject) -> None:
    """With checksums every flipped bit in a block is seen; without them nothing else is raised."""
    pairs = [(b"", header()), (b"a", b"1"), (b"ab", b"2"), (b"b", b"3")]
    whole = bytearray(table(pairs, 2, snappy=data.draw(st.booleans())))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    for checked in (True, False):
        with contextlib.suppress(FormatError):
            entries(bytes(whole), checked=checked)


def test_a_wrong_checksum_of_a_block_is_seen_only_when_it_can_be_computed() -> None:
    """The daemon has no CRC-32C, a child does."""
    data = bytearray(table([(b"key", b"value")]))
    data[data.index(b"value")] ^= 1  # v becomes w
    assert entries(bytes(data), checked=False) == [(b"key", b"walue")]
    with pytest.raises(FormatError, match="checksum"):
        entries(bytes(data))


def test_a_table_that_would_unfold_is_malformed() -> None:
    """Blocks named twice and keys out of order are refused; only an attacker writes them.

    TensorFlow takes the first of two equal keys, and finds none behind one that is out of order.
    """
    piece = block([(b"a", b"1")])
    handle = varint(0) + varint(len(piece) - 5)
    twice = block([(b"a", handle), (b"b", handle)])
    footer = varint(0) + varint(len(piece) - 5) + varint(len(piece)) + varint(len(twice) - 5)
    data = piece + twice + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    with pytest.raises(FormatError, match="overlap"):
        entries(data)
    with pytest.raises(FormatError, match="order"):
        entries(table([(b"b", b""), (b"a", b"")]))
    with pytest.raises(FormatError, match="order"):
        entries(table([(b"a", b"1"), (b"a", b"2")], per_block=1))


def test_what_is_not_read_here_is_no_fault_of_the_table() -> None:
    """A type of block that a newer writer may use, endless names: a real loader has to say."""
    pairs = [(b"%05d" % i + b"k" * 1000, b"v") for i in range(50)]
    unreadable = (
        table([(b"a", b"1")], kind=2),
        table([(b"k" * 70_000, b"")]),
    )
    for data in unreadable:
        with pytest.raises(FormatError) as caught:
            entries(data)
        assert caught.value.word == "not_readable"
    assert len(entries(table(pairs))) == 50
    with pytest.raises(FormatError, match="too long all together"):
        list(read_entries(lambda at, n: table(pairs)[at : at + n], len(table(pairs)), limit=9999))


def test_blocks_may_lie_in_any_order_and_leave_gaps() -> None:
    """TensorFlow reads them where the index block says; its own writer has them in order."""
    pairs = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    data, handles = b"", {}
    for key, value in reversed(pairs):
        piece = block([(key, value)])
        handles[key] = varint(len(data)) + varint(len(piece) - 5)
        data += piece + b"gap"
    index = block([(key, handles[key]) for key, _ in pairs])
    footer = varint(0) + varint(0) + varint(len(data)) + varint(len(index) - 5)
    whole = data + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    assert entries(whole) == pairs


@given(st.integers(0, (1 << 32) - 1))
def test_masking_is_undone(crc: int) -> None:
    """The stored form of every checksum leads back to it."""
    assert unmask(mask(crc)) == crc


def test_an_index_says_where_every_tensor_lies(tmp_path: Path) -> None:
    """Names, types, shapes, shards, offsets and checksums as the bundle has them."""
    bundle(tmp_path / "c", [b"a", b"b", b"c\xff"], shards=2)
    index = read_index(str(tmp_path / "c"), google_crc32c.value)
    assert index.num_shards == 2
    assert [(e.name, e.shard, e.offset, e.size) for e in index.entries] == [
        ("a", 0, 0, 16),
        ("b", 1, 0, 16),
        ("c\udcff", 0, 16, 16),
    ]
    for entry in index.entries:
        shard = Path(shard_path(str(tmp_path / "c"), entry.shard, 2)).read_bytes()
        assert (entry.dtype, entry.shape) == ("float32", (4,))
        assert google_crc32c.value(shard[entry.offset : entry.offset + 16]) == entry.crc32c
    assert is_model(index)


def test_the_slices_of_a_partitioned_variable_are_read(tmp_path: Path) -> None:
    """Each is a start and a length for every dimension; -1 stands for all."""
    extents = field(1, field(1, 2) + field(2, 3)) + field(1, b"")
    value = field(1, 1) + field(2, field(2, field(1, 5)) + field(2, field(1, 7)))
    pairs = [(b"", header()), (b"w", value + field(7, extents))]
    (tmp_path / "c.index").write_bytes(table(pairs))
    (entry,) = read_index(str(tmp_path / "c")).entries
    assert (entry.shape, entry.slices) == ((5, 7), (((2, 3), (0, -1)),))


def test_an_index_that_is_not_there_is_a_missing_member(tmp_path: Path) -> None:
    """And one that claims a million shards is malformed."""
    with pytest.raises(FormatError) as caught:
        read_index(str(tmp_path / "gone"))
    assert caught.value.word == "missing_member"
    (tmp_path / "c.index").write_bytes(table([(b"", header(1_000_000))]))
    with pytest.raises(FormatError, match="shards"):
        read_index(str(tmp_path / "c"))


def test_a_table_on_disk_is_read_in_order(tmp_path: Path) -> None:
    """`read_table` is `read_entries` on a file."""
    path = tmp_path / "t"
    path.write_bytes(table([(b"a", b"1"), (b"b", b"2")], per_block=1))
    assert list(read_table(str(path), google_crc32c.value)) == [(b"a", b"1"), (b"b", b"2")]


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 2**64 - 1) | st.binary())))
def test_messages_are_read_as_they_were_written(content: list[tuple[int, int | bytes]]) -> None:
    """From memory and by walking over a file."""
    data = b"".join(field(number, value) for number, value in content)
    assert list(fields(data)) == content
    spans = list(walk(lambda at, size: data[at : at + size], 0, len(data)))
    assert [span.number for span in spans] == [number for number, _ in content]
    pieces = [data[s.start : s.end] for s in spans]
    assert pieces == [varint(v) if isinstance(v, int) else v for _, v in content]


@given(st.binary(max_size=200))
def test_no_bytes_make_the_message_reader_do_more_than_refuse(data: bytes) -> None:
    """Garbage gives fields or a FormatError."""
    for read in (fields, lambda d: walk(lambda at, size: d[at : at + size], 0, len(d))):
        try:
            assert len(list(read(data))) <= len(data)
        except FormatError:
            continue


def test_numbers_of_32_and_64_bits_are_read() -> None:
    """Fixed-width fields are numbers, and negative ones come back as such."""
    data = b"\x0d" + struct.pack("<I", 7) + b"\x11" + struct.pack("<Q", 8)
    assert list(fields(data)) == [(1, 7), (2, 8)]
    assert [signed(v) for _, v in fields(field(1, -1) + field(1, 5))] == [-1, 5]
