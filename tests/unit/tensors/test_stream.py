"""The one pass: its statistics and checksums are those of the whole, however it is cut."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import google_crc32c
import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpointd.formats import FormatError
from checkpointd.tensors import MODEL, TensorSpec
from checkpointd.tensors.checksums import Checksum
from checkpointd.tensors.source import FileShrankError, opened
from checkpointd.tensors.statistics import Statistics, item_size
from checkpointd.tensors.stream import ByteRange, Tally, arranged, stream

if TYPE_CHECKING:
    from pathlib import Path

FLOATS = ("float16", "float32", "float64", "complex64", "complex128")
INTEGERS = ("int8", "uint8", "int16", "int32", "uint32", "int64", "bool")
some_arrays = st.sampled_from(FLOATS + INTEGERS).flatmap(
    lambda name: arrays.arrays(name, arrays.array_shapes(min_dims=0, max_dims=3, max_side=12))
)


def expected(values: np.ndarray) -> tuple[int, int, float | None]:
    """NaN, infinities and the finite values' sum of squares, as numpy counts them."""
    flat = values.reshape(-1)
    if flat.dtype == np.bool_:
        return 0, 0, None
    if flat.dtype.kind in "iu":
        flat = flat.astype(np.float64)
    nan, inf = np.isnan(flat), np.isinf(flat)
    finite = np.abs(flat[~(nan | inf)].astype(np.complex128))
    with np.errstate(over="ignore"):
        total = float((finite**2).sum())
    return int(nan.sum()), int(inf.sum()), total if np.isfinite(total) else None


@given(
    values=some_arrays,
    before=st.integers(0, 40),
    after=st.sampled_from([1, 1000]),
    block=st.sampled_from([1, 3, 7, 17, 24, 64, 4096]),
)
@settings(deadline=None, max_examples=80)
def test_what_is_counted_does_not_depend_on_how_the_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    values: np.ndarray,
    before: int,
    after: int,
    block: int,
) -> None:
    """For any array, place in the file and block size, the counts and checksums are numpy's."""
    path = tmp_path_factory.mktemp("stream") / "file"
    raw = values.tobytes()
    path.write_bytes(b"\xff" * before + raw + b"\xff" * after)
    spec = TensorSpec("w", "w", MODEL, values.dtype.name, values.shape, len(raw))
    tally, whole = Tally(spec, with_crc32c=True), Checksum(with_crc32=True)
    with opened(str(path)) as source:
        pieces = arranged([ByteRange(before, len(raw), tally)])
        stream(source, [[ByteRange(0, source.size, whole)], pieces], block_size=block)
    found = tally.result()
    nan, inf, squares = expected(values)
    assert (found.nan, found.inf) == (nan, inf)
    if squares is None:
        assert found.sum_of_squares is None or found.sum_of_squares > 1e300
    else:
        assert found.sum_of_squares == pytest.approx(squares, rel=1e-3, abs=1e-30)
    assert found.crc32 == zlib.crc32(raw)
    assert tally.crc32c == google_crc32c.value(raw)
    assert whole.crc32c == google_crc32c.value(path.read_bytes())
    assert whole.crc32 == zlib.crc32(path.read_bytes())


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e5m2", "float8_e4m3fn"])
def test_every_value_of_a_small_float_is_counted_as_ml_dtypes_counts_it(dtype: str) -> None:
    """All codes of types that numpy lacks are classified correctly: NaN, infinite or finite."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    width = item_size(dtype)
    codes = np.arange(1 << (8 * width), dtype=f"u{width}")
    with np.errstate(invalid="ignore"):
        values = codes.view(getattr(ml_dtypes, dtype)).astype(np.float64)
    counted = Statistics(dtype)
    counted.feed(codes.view(np.uint8))
    assert counted.nan == int(np.isnan(values).sum())
    assert counted.inf == int(np.isinf(values).sum())
    finite = values[np.isfinite(values)]
    finite = finite[np.abs(finite) < 1e18]
    small = Statistics(dtype)
    keep = np.isfinite(values) & (np.abs(np.nan_to_num(values)) < 1e18)
    small.feed(np.ascontiguousarray(codes[keep]).view(np.uint8))
    assert small.sum_of_squares == pytest.approx(float((finite**2).sum()), rel=1e-4)


def test_a_file_that_shrinks_while_it_is_read_is_an_error_that_says_so(tmp_path: Path) -> None:
    """A writer that truncates must not kill the reader, nor give it bytes that are not there."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5000)
    with opened(str(path)) as source:
        path.write_bytes(b"x" * 10)
        with pytest.raises(FileShrankError, match="shorter while it was read"):
            stream(source, [[ByteRange(0, source.size, Checksum())]], block_size=1000)


def test_two_tensors_that_claim_the_same_bytes_are_malformed() -> None:
    """Overlapping ranges are refused before anything is read."""
    sink = Checksum()
    with pytest.raises(FormatError, match="claim the bytes at 5"):
        arranged([ByteRange(0, 6, sink), ByteRange(5, 6, sink)])
