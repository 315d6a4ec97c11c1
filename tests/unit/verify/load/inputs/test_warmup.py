"""The framing of TensorFlow Serving's warm-up requests: damage is reported, and bounded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.formats import FormatError
from checkpointd.verify.load.inputs import warmup
from tests.helpers.protobuf import field
from tests.helpers.warmup import framed, put

if TYPE_CHECKING:
    from pathlib import Path


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_records_come_back(records: list[bytes]) -> None:
    """What was framed is what is read."""
    assert list(warmup.records(framed(records), whole=True)) == records


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=3), st.data())
def test_a_flipped_bit_is_found_anywhere(records: list[bytes], data: st.DataObject) -> None:
    """Lengths and contents have checksums, and the checksums are what they are of."""
    spoiled = bytearray(framed(records))
    spoiled[data.draw(st.integers(0, len(spoiled) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(FormatError):
        list(warmup.records(bytes(spoiled), whole=True))


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=3), st.data())
def test_a_file_that_is_cut_short_is_reported(records: list[bytes], data: st.DataObject) -> None:
    """Wherever it is cut but between records; of a beginning, the whole records are read."""
    whole = framed(records)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    ends = [len(framed(records[:n])) for n in range(len(records))]
    if len(cut) in ends:
        assert list(warmup.records(cut, whole=True)) == records[: ends.index(len(cut))]
    else:
        with pytest.raises(FormatError, match="ends within record"):
            list(warmup.records(cut, whole=True))
    read = list(warmup.records(cut, whole=False))
    assert read == records[: len(read)]


def test_more_records_than_tensorflow_serving_takes_are_reported() -> None:
    """A thousand are its bound."""
    assert len(list(warmup.records(framed([b"x"] * 1000), whole=True))) == 1000
    with pytest.raises(FormatError, match="more than 1000"):
        list(warmup.records(framed([b"x"] * 1001), whole=True))


@given(st.binary(max_size=300))
def test_the_checksum_needs_no_library(data: bytes) -> None:
    """The load child may run where google-crc32c is not installed."""
    assert warmup._crc32c_by_table(data) == google_crc32c.value(data)


@given(st.binary(max_size=60))
def test_any_bytes_in_a_record_end_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, record: bytes
) -> None:
    """A record that is no PredictionLog is counted or reported, and never raises."""
    directory = tmp_path_factory.mktemp("model")
    put(directory, framed([record]))
    found = warmup.read(str(directory))
    assert not found.requests or found.requests == {"serving_default": [{}]}
    assert all(note.endswith(".") for note in found.notes)


def test_other_kinds_of_requests_are_counted(tmp_path: Path) -> None:
    """Classify and regress logs are left to TensorFlow Serving."""
    put(tmp_path, framed([field(2, b""), field(3, b"")]))
    assert warmup.read(str(tmp_path)).notes == [
        "2 warm-up requests are no predict requests, and were not run."
    ]


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    """Nothing there, a directory, a pipe: none of them is waited for."""
    assert warmup.read(str(tmp_path)) == warmup.Warmup()
    extra = tmp_path / "assets.extra"
    extra.mkdir()
    os.mkfifo(extra / "tf_serving_warmup_requests")
    assert warmup.read(str(tmp_path)) == warmup.Warmup()
    (extra / "tf_serving_warmup_requests").unlink()
    (extra / "tf_serving_warmup_requests").mkdir()
    assert warmup.read(str(tmp_path)) == warmup.Warmup()
