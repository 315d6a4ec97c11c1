"""One changed byte is recognised by how two checksums differ."""

from __future__ import annotations

import zlib

import google_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpointd.tensors.one_byte import CRC32, CRC32C, Difference, chance_of_one_byte

_STRIDE = 4096


def differences(before: bytes, after: bytes) -> tuple[Difference, Difference]:
    """How both checksums of two contents differ."""
    return (
        Difference(CRC32C, google_crc32c.value(before) ^ google_crc32c.value(after)),
        Difference(CRC32, zlib.crc32(before) ^ zlib.crc32(after)),
    )


sizes = st.integers(1, 3 * _STRIDE) | st.sampled_from([_STRIDE - 1, _STRIDE, _STRIDE + 1])


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), sizes, st.integers(1, 255))
def test_every_single_byte_is_found(random: object, size: int, change: int) -> None:
    """At any position of any length, by one checksum and by two."""
    before = random.randbytes(size)  # type: ignore[attr-defined]  # a random.Random
    at = random.randrange(size)  # type: ignore[attr-defined]
    after = before[:at] + bytes([before[at] ^ change]) + before[at + 1 :]
    found = differences(before, after)
    both, one = chance_of_one_byte(size, found), chance_of_one_byte(size, found[:1])
    assert both is not None
    assert both < 1e-9
    assert one is not None
    assert one >= both


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(8, 3 * _STRIDE))
def test_other_content_is_not_taken_for_one_byte(random: object, size: int) -> None:
    """Two checksums leave no doubt."""
    before = random.randbytes(size)  # type: ignore[attr-defined]
    after = random.randbytes(size)  # type: ignore[attr-defined]
    assert chance_of_one_byte(size, differences(before, after)) is None


def test_equal_checksums_show_no_change() -> None:
    """Nothing differs, or nothing that they show."""
    assert chance_of_one_byte(5, differences(b"abcde", b"abcde")) is None


def test_what_is_too_long_is_not_recognised() -> None:
    """It would take seconds, and one checksum says little of it."""
    assert chance_of_one_byte(1 << 40, (Difference(CRC32C, 1),)) is None
