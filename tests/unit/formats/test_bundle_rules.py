"""What an index may not say: TensorFlow 2.21 ends its process for most of these, or refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.formats import FormatError
from checkpointd.formats.bundle import index_of
from checkpointd.formats.bundle_rules import refused
from tests.helpers.bundles import bundle, header, table
from tests.helpers.indexes import HEADER, HOSTILE, ORDINARY, entry, part
from tests.helpers.protobuf import field
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from pathlib import Path


def said(value: bytes, head: bytes = HEADER) -> str:
    """Why TensorFlow would not read a bundle with one entry; empty if it would."""
    wrong = refused(index_of([(b"", head), (b"layer/kernel", value)]))
    return wrong.message if wrong else ""


@pytest.mark.parametrize(("value", "why"), HOSTILE)
def test_an_entry_that_ends_tensorflow_is_refused(value: bytes, why: str) -> None:
    """Each was seen to abort the process or to raise; the sentence names the tensor."""
    assert said(value).startswith("layer/kernel: ")
    assert why in said(value)


@pytest.mark.parametrize("value", ORDINARY)
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


def test_a_part_of_another_type_than_its_tensor_is_refused() -> None:
    """TensorFlow aborts when it puts the parts together."""
    whole = entry(4, 6, slices=part((0, 2), (0, None)))
    for kind, why in ((1, ""), (2, "the type float64, and float32 to the tensor")):
        pairs = [(b"", HEADER), (b"\0w\0\1code", entry(2, 6, dtype=kind)), (b"w", whole)]
        wrong = refused(index_of(pairs))
        assert why in (wrong.message if wrong else "")
        assert bool(wrong) is bool(why)


def test_a_field_without_a_number_is_refused() -> None:
    """Protocol buffers number from one; TensorFlow aborts on such a shape."""
    with pytest.raises(FormatError, match="number 0"):
        index_of([(b"", HEADER), (b"w", field(1, 1) + field(2, field(2, b"\x00\x04")))])


@pytest.mark.parametrize("key", [b"", b"w"])
def test_a_damaged_entry_is_no_sign_of_a_save_that_was_cut_short(key: bytes) -> None:
    """The table around it is whole: its writer has ended, and one of its bytes was changed."""
    with pytest.raises(FormatError, match="entry of the index is damaged") as raised:
        index_of([(b"", HEADER), (key, field(2, b"four")[:-1])])
    assert raised.value.word == "malformed"


@pytest.mark.parametrize(
    ("head", "value"),
    [
        (HEADER, entry(4, dtype=34)),
        (HEADER, entry(4, dtype=100)),
        (field(1, 1) + field(3, field(1, 5) + field(2, 5)), entry(4)),
    ],
)
def test_what_a_newer_tensorflow_may_have_written_is_no_fault_of_the_file(
    head: bytes, value: bytes
) -> None:
    """This one would abort or refuse it, so it must not load it; nobody knows that it is bad."""
    wrong = refused(index_of([(b"", head), (b"layer/kernel", value)]))
    assert wrong is not None
    assert wrong.word == "environment"


def test_the_scan_reports_it_before_tensorflow_reads_it(tmp_path: Path) -> None:
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
