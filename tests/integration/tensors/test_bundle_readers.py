"""Bundles as TensorFlow reads them, written otherwise than TensorFlow for Linux writes them.

TensorFlow itself is the oracle: what it reads whole is read here with the same bytes.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import google_crc32c
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from checkpointd.core.check_result import Outcome
from checkpointd.formats.table import read_table
from checkpointd.tensors import baseline
from tests.helpers.bundles import header, mask, table
from tests.helpers.protobuf import field, varint
from tests.helpers.scan import Scanned, scanned

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BIG_ENDIAN = field(1, 1) + field(2, 1) + field(3, field(1, 1))
NUMBERS = np.arange(1, 7, dtype=np.float32)


def entry(
    kind: int, shape: Iterable[int], data: bytes, offset: int = 0, shard: int = 0, crc: int = -1
) -> bytes:
    """Encode a BundleEntryProto; `crc` is taken of `data` where it is not given."""
    checksum = google_crc32c.value(data) if crc < 0 else crc
    dims = b"".join(field(2, field(1, n)) for n in shape)
    place = field(3, shard) + field(4, offset) + field(5, len(data))
    return field(1, kind) + field(2, dims) + place + b"\x35" + struct.pack("<I", mask(checksum))


def write(prefix: Path, pairs: list[tuple[bytes, bytes]], *shards: bytes | None) -> Path:
    """Write a bundle; a shard that is None is not there."""
    for number, data in enumerate(shards):
        if data is not None:
            name = f"{prefix.name}.data-{number:05d}-of-{len(shards):05d}"
            prefix.with_name(name).write_bytes(data)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(pairs))
    return prefix


def values(prefix: Path) -> dict[str, Any]:
    """Each tensor as TensorFlow reads it."""
    reader = tf.train.load_checkpoint(str(prefix))
    return {n: np.asarray(reader.get_tensor(n)) for n in reader.get_variable_to_shape_map()}


def expected(prefix: Path) -> dict[str, int]:
    """The CRC-32 of each tensor's bytes as TensorFlow reads them."""
    return {name: zlib.crc32(value.tobytes()) for name, value in values(prefix).items()}


def assert_read_alike(prefix: Path) -> None:
    """See that a scan passes, and that its tensors have the bytes that TensorFlow reads."""
    result = scanned(prefix)
    assert result.clean, (prefix.name, result)
    assert_same_bytes(prefix, result)


def assert_same_bytes(prefix: Path, result: Scanned) -> None:
    """See that the tensors of a scan have the bytes that TensorFlow reads."""
    stored = baseline.unpack(result.facts.tensors)
    assert stored is not None
    wanted = expected(prefix)
    read = {name: weight.crc32 for name, weight in stored.weights.items()}
    assert read or all(t.ndim == 0 for t in values(prefix).values()), prefix.name
    assert read == {name: wanted[name] for name in read}, prefix.name


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a checkpoint of 3 000 variables that TensorFlow wrote; its index has several blocks."""
    prefix = tmp_path_factory.mktemp("saved") / "ckpt"
    names = [f"layer_{i:05d}/with/a/long/name/kernel" for i in range(3000)]
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.fill((2,), float(i)) for i in range(len(names))],
    )
    return prefix


@pytest.mark.parametrize("per_block", [1, 500, 4000])
def test_an_index_compressed_with_snappy_is_read(saved: Path, per_block: int) -> None:
    """The checksum of a block covers its compressed bytes; TensorFlow Serving's models have it."""
    index = saved.with_name("ckpt.index")
    pairs = list(read_table(str(index)))
    index.write_bytes(table(pairs, per_block, snappy=True))
    assert list(read_table(str(index), google_crc32c.value)) == pairs
    assert_read_alike(saved)


@pytest.mark.parametrize("kind", [1, 2, 3, 5, 8, 9, 15, 17, 18, 19, 22, 23])
def test_what_a_big_endian_machine_wrote_is_read(tmp_path: Path, kind: int) -> None:
    """TensorFlow swaps the bytes of each number; the stored checksum is that of the stored ones."""
    dtype = np.dtype(tf.dtypes.as_dtype(kind).as_numpy_dtype).newbyteorder(">")
    data = (np.arange(500_001) % 100).astype(dtype).tobytes()
    head = data[: 3 * dtype.itemsize]
    pairs = [(b"", BIG_ENDIAN), (b"a", entry(kind, [3], head))]
    pairs.append((b"w", entry(kind, [500_001], data, offset=len(head))))
    assert_read_alike(write(tmp_path / "big", pairs, head + data))


@pytest.mark.parametrize("order", ["little", "big"])
def test_strings_of_either_byte_order_are_read(tmp_path: Path, order: str) -> None:
    """Their lengths are part of the checksum, in the byte order of the machine that wrote them."""
    words = [b"hello", b"", b"x" * 300]
    lengths = b"".join(len(w).to_bytes(4, order) for w in words)  # type: ignore[arg-type]
    check = mask(google_crc32c.value(lengths)).to_bytes(4, order)  # type: ignore[arg-type]
    data = b"".join(varint(len(w)) for w in words) + check + b"".join(words)
    crc = google_crc32c.value(lengths + check + b"".join(words))
    head = BIG_ENDIAN if order == "big" else header()
    prefix = write(tmp_path / "s", [(b"", head), (b"s", entry(7, [3], data, crc=crc))], data)
    assert tf.train.load_checkpoint(str(prefix)).get_tensor("s").tolist() == words
    assert scanned(prefix).clean


def test_every_layout_that_tensorflow_reads_is_read(tmp_path: Path) -> None:
    """Tensors of nothing, gaps, and shards that nothing lies in."""
    data = NUMBERS.tobytes()
    whole = entry(1, [6], data)
    nothing = entry(1, [0], b"", offset=1 << 40)
    one, five = (b"", header()), (b"", header(5))
    cases = {
        "nothing": ([one, (b"a", nothing), (b"b", whole)], data),
        "zero_dimension": ([one, (b"a", entry(1, [3, 0, 4], b"")), (b"b", whole)], data),
        "scalar": ([one, (b"a", entry(1, [], data[:4]))], data[:4]),
        "longer": ([one, (b"a", whole)], data + b"more"),
        "gap": ([one, (b"a", entry(1, [6], data, offset=64))], b"\1" * 64 + data),
        "unused_shards": ([five, (b"a", entry(1, [6], data, shard=1))], None, data, *[None] * 3),
        "quantised": (
            [one, (b"a", entry(11, [24], data)), (b"b", entry(13, [6], data, offset=24))],
            data * 2,
        ),
    }
    for name, (pairs, *shards) in cases.items():
        assert_read_alike(write(tmp_path / name, pairs, *shards))


def test_bytes_that_two_tensors_share_prove_nothing(tmp_path: Path) -> None:
    """TensorFlow reads both; its writers make no such bundle, so nobody knows what is meant."""
    data = NUMBERS.tobytes()
    whole, inside = entry(1, [6], data), entry(1, [2], data[8:16], offset=8)
    for name, other in (("same", whole), ("inside", inside)):
        prefix = write(tmp_path / name, [(b"", header()), (b"a", whole), (b"b", other)], data)
        assert set(expected(prefix)) == {"a", "b"}
        result = scanned(prefix)
        assert result.reasons == ["integrity.not_readable"]
        assert "a and b share bytes" in result.checks["integrity"].message
        assert result.checks["finite"].outcome is Outcome.PASS
        assert_same_bytes(prefix, result)


def test_many_names_for_the_same_bytes_are_a_bomb(tmp_path: Path) -> None:
    """A small shard must not unfold into more memory than any sound one of its size."""
    data = bytes(1 << 20)
    value = entry(1, [1 << 18], data)
    pairs = [(b"", header()), *((b"%05d" % i, value) for i in range(300))]
    assert scanned(write(tmp_path / "bomb", pairs, data)).reasons == ["safety.bomb"]


def test_checkpoints_of_tensorflow_1_and_of_iterators_are_read(tmp_path: Path) -> None:
    """Partitioned variables, variants, strings and types of half and quarter precision."""
    iterator = iter(tf.data.Dataset.range(10).shuffle(4))
    next(iterator)
    quarter = tf.constant(np.array([1, 2], ml_dtypes.float8_e4m3fn))
    tf.train.Checkpoint(
        iterator=iterator, word=tf.Variable("text"), none=tf.Variable(tf.zeros([0, 3]))
    ).write(str(tmp_path / "objects"))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable(
            "part", (10, 4), partitioner=tf.compat.v1.fixed_size_partitioner(3)
        )
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(sharded=True).save(session, str(tmp_path / "tf1"))
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "quarter"),
        tensor_names=["q"],
        shape_and_slices=[""],
        tensors=[quarter],
    )
    for name in ("objects", "tf1", "quarter"):
        result = scanned(tmp_path / name)
        assert result.clean, (name, result)


def test_shards_of_an_earlier_save_over_the_same_prefix_are_left_alone(tmp_path: Path) -> None:
    """TensorFlow leaves them when the next save has another number of shards."""
    many = np.ones(100, np.float32)
    saved = tf.train.Checkpoint(a=tf.Variable(many), b=tf.Variable(many * 2))
    policy = tf.train.experimental.MaxShardSizePolicy(max_shard_size=600)
    saved.write(
        str(tmp_path / "ck"),
        tf.train.CheckpointOptions(experimental_sharding_callback=policy),
    )
    assert len(list(tmp_path.glob("ck.data-*"))) > 1
    saved.write(str(tmp_path / "ck"))
    assert scanned(tmp_path / "ck").clean


def test_what_the_graph_of_objects_names_and_the_index_lacks_is_missing(tmp_path: Path) -> None:
    """Somebody wrote the tensors again without one: no restore finds it."""
    tf.train.Checkpoint(a=tf.Variable(NUMBERS), b=tf.Variable(NUMBERS * 2)).write(
        str(tmp_path / "whole")
    )
    reader = tf.train.load_checkpoint(str(tmp_path / "whole"))
    kept = [name for name in reader.get_variable_to_dtype_map() if not name.startswith("b/")]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "part"),
        tensor_names=kept,
        shape_and_slices=[""] * len(kept),
        tensors=[tf.constant(reader.get_tensor(name)) for name in kept],
    )
    result = scanned(tmp_path / "part").checks["integrity"]
    assert result.reason == "integrity.mixed_versions"
    assert "'b/" in result.message
