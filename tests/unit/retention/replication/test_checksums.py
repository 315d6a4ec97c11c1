"""Which ETags prove that an object is what was sent."""

from __future__ import annotations

import hashlib

from checkpointd.retention.replication.checksums import Checksums

PIECES = [b"a" * 10, b"b" * 10, b"c"]


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def test_the_tag_of_one_part_is_its_md5() -> None:
    """Of an empty object, too; in capital letters, too."""
    one = Checksums.of([b"abc"])
    assert one.is_tag(_md5(b"abc").hex())
    assert one.is_tag(_md5(b"abc").hex().upper())
    assert not one.is_tag(_md5(b"abd").hex())
    assert Checksums.of([]).is_tag(_md5(b"").hex())
    assert one.sha256 == hashlib.sha256(b"abc").hexdigest()


def test_the_tag_of_several_parts_is_made_of_their_md5s() -> None:
    """Their number counts, and the pieces must be the parts."""
    sums = Checksums.of(PIECES)
    tag = _md5(b"".join(map(_md5, PIECES))).hex()
    assert sums.is_tag(f"{tag}-3")
    assert not sums.is_tag(f"{tag}-2")
    assert not Checksums.of([b"".join(PIECES)]).is_tag(f"{tag}-3")
    assert sums.size == 21


def test_a_tag_of_another_kind_proves_nothing() -> None:
    """Then the bytes are read again."""
    sums = Checksums.of(PIECES)
    assert not any(sums.is_tag(tag) for tag in ("", "CIDR0+PX", "0x8D", _md5(b"other").hex()))
