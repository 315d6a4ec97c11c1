"""What an index may not say: TensorFlow 2.21 ends its process for most of these, or refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.formats.bundle import index_of
from checkpointd.formats.bundle_rules import refused
from tests.helpers.formats import bundle, field, header, table
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from pathlib import Path

FLOAT, STRING, RESOURCE, VARIANT = 1, 7, 20, 21
HEADER = header()


def entry(
    *dims: int, dtype: int = FLOAT, size: int = 16, offset: int = 0, slices: bytes = b""
) -> bytes:
    """Encode a BundleEntryProto."""
    shape = field(2, b"".join(field(2, field(1, d)) for d in dims))
    return field(1, dtype) + shape + field(4, offset) + field(5, size) + slices


def part(*extents: tuple[int, int | None]) -> bytes:
    """Encode a slice; a length of None is the whole of a dimension."""
    encoded = (field(1, s) + (b"" if n is None else field(2, n)) for s, n in extents)
    return field(7, b"".join(field(1, e) for e in encoded))


def said(value: bytes, head: bytes = HEADER) -> str:
    """Why TensorFlow would not read a bundle with one entry; empty if it would."""
    wrong = refused(index_of([(b"", head), (b"layer/kernel", value)]))
    return wrong.message if wrong else ""


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (entry(-4), "a negative dimension"),
        (entry(-2, -2), "a negative dimension"),
        (entry(1 << 40, 1 << 40), "more elements than can be counted"),
        (entry(1 << 62, 4, 0, size=0), "more elements than can be counted"),
        (entry(*[1] * 255, size=4), "255 dimensions"),
        (entry(4, dtype=0), "an element type"),
        (entry(4, dtype=50), "an element type"),
        (entry(4, dtype=-1), "an element type"),
        (entry(4, dtype=101), "an element type"),
        (entry(4, dtype=RESOURCE), "an element type"),
        (entry(4, offset=-8), "a negative place"),
        (entry(4, size=-16), "a negative place"),
        (entry(1 << 34, dtype=STRING), "16 bytes for 17179869184 elements"),
        (entry(1 << 34, dtype=VARIANT), "16 bytes for 17179869184 elements"),
        (entry(4, slices=part((3, 4))), "a part that lies outside"),
        (entry(4, slices=part((-3, 4))), "a part that lies outside"),
        (entry(4, slices=part((0, 2)) + part((0, -5))), "a part that lies outside"),
        (entry(4, slices=part((0, 2), (0, 2))), "a part of 2 dimensions"),
        (entry(-4, slices=part((0, 2))), "a negative dimension"),
        (entry(4, dtype=50, slices=part((0, None))), "an element type"),
    ],
)
def test_an_entry_that_ends_tensorflow_is_refused(value: bytes, why: str) -> None:
    """Each was seen to abort the process or to raise; the sentence names the tensor."""
    assert said(value).startswith(f"layer/kernel: the index gives it {why}")


@pytest.mark.parametrize(
    "value",
    [
        entry(4),
        entry(),
        entry(0, 7, size=0),
        entry(*[1] * 254, size=4),
        entry(12, dtype=STRING),
        entry(0, dtype=STRING, size=0),
        entry(4, 6, slices=part((0, 2), (0, None)) + part((2, 2), (0, 6))),
        entry(slices=part()),
    ],
)
def test_an_ordinary_entry_is_not(value: bytes) -> None:
    """Scalars, tensors of nothing, of strings and in parts."""
    assert said(value) == ""


@pytest.mark.parametrize(
    ("version", "harmful"),
    [
        (b"", False),
        (field(1, 1), False),
        (field(1, 2), False),
        (field(1, 5) + field(2, 5), True),
        (field(1, 1) + field(3, 1), True),
        (field(1, 1) + field(3, b"\x03\x01"), True),
        (field(1, -1), True),
    ],
)
def test_a_version_that_tensorflow_refuses_is_refused(version: bytes, harmful: bool) -> None:
    """A newer writer is no reason, as long as it lets an old reader read."""
    assert bool(said(entry(4), field(1, 1) + field(3, version))) is harmful


def test_the_scan_tells_before_tensorflow_sees_it(tmp_path: Path) -> None:
    """Also of a tensor in parts, whose own entry has no bytes that could disagree."""
    prefix = tmp_path / "ckpt-1"
    bundle(prefix)
    assert scanned(prefix).clean
    hostile = entry(1 << 40, 1 << 40, slices=part((0, 2), (0, 2)))
    pairs = [(b"", header()), (b"layer/kernel", hostile)]
    prefix.with_name("ckpt-1.index").write_bytes(table(pairs))
    result = scanned(prefix)
    assert result.reasons == ["structure.malformed"]
    assert "more elements than can be counted" in result.checks["structure"].message
