"""Containers built by hand, and the scan side of the suite run over a path."""

from __future__ import annotations

import random
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import h5py
import numpy as np

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import End, Request
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.formats import locate
from checkpointd.verify.scan.scan_stage import scan

if TYPE_CHECKING:
    from checkpointd.core.report import Facts

DTYPES = {"float32": 1, "float64": 2, "int32": 3, "string": 7, "int64": 9, "bool": 10}
DTYPES |= {"bfloat16": 14, "complex64": 8, "float16": 19}
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_MAGIC = bytes.fromhex("57fb808b247547db")


@dataclass(frozen=True)
class Scanned:
    """What a scan came to."""

    end: End
    facts: Facts
    message: str
    checks: dict[str, CheckResult]

    @property
    def reasons(self) -> list[str]:
        """Every reason that was given."""
        return [c.reason for c in self.checks.values() if c.reason]

    @property
    def clean(self) -> bool:
        """Whether every check passed; one that is compared with nothing is skipped."""
        told = [c for c in self.checks.values() if (c.name, c.outcome) != ("drift", Outcome.SKIP)]
        return self.end is End.DONE and all(c.outcome is Outcome.PASS for c in told)


def request_for(path: Path | str, **settings: Any) -> Request:
    """Ask for the verification of what lies at a path now."""
    found = locate(str(path))
    assert found is not None, path
    return Request(Checkpoint(found.path, found.hint), found.generation, VerifySettings(**settings))


def scanned(path: Path | str, **settings: Any) -> Scanned:
    """Run the scan side over a path."""
    results: list[CheckResult] = []
    end, facts, message = scan(request_for(path, **settings), results.append)
    return Scanned(end, facts, message, {r.name: r for r in results})


def flip(path: Path, offset: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(bytes(data))


def flip_in_place(path: Path, offset: int, bit: int = 0) -> None:
    """Flip one bit of a file that is too large to be held."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def seeded() -> random.Random:
    """A random generator whose seed is printed."""
    seed = secrets.randbits(32)
    print("seed", seed)  # noqa: T201 - shown by pytest when the test fails
    return random.Random(seed)  # noqa: S311 - test data


def masked(crc: int) -> int:
    """TensorFlow's masking of a CRC32C."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    """A protocol buffer's number."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """A protocol buffer's field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def write_table(path: Path, pairs: list[tuple[bytes, bytes]]) -> None:
    """Write a string table of one data block."""
    out = bytearray()

    def block(entries: list[tuple[bytes, bytes]]) -> bytes:
        body = b"".join(varint(0) + varint(len(k)) + varint(len(v)) + k + v for k, v in entries)
        body += struct.pack("<II", 0, 1) + b"\0"
        at = len(out)
        out.extend(body + struct.pack("<I", masked(google_crc32c.value(body))))
        return varint(at) + varint(len(body) - 1)

    data = block(sorted(pairs))
    meta = block([])
    index = block([(b"\xff", data)])
    out.extend((meta + index).ljust(40, b"\0") + _MAGIC)
    path.write_bytes(bytes(out))


def write_bundle(
    prefix: Path, tensors: dict[str, Any], *, shards: int = 1, named: str = ""
) -> None:
    """Write a tensor bundle: arrays by key, `(dtype, shape, bytes)` for other types.

    Args:
        prefix: without `.index`.
        tensors: by key; spread over the shards in turn.
        shards: how many.
        named: the dtype of those given as uint16, if it is not numpy's own.
    """
    data = [bytearray() for _ in range(shards)]
    pairs = [(b"", field(1, shards))]
    for number, (key, values) in enumerate(tensors.items()):
        array = np.asarray(values)
        raw = array.tobytes()
        dims = b"".join(field(2, field(1, n)) for n in array.shape)
        dtype = DTYPES[named if named and array.dtype == np.uint16 else array.dtype.name]
        shard = data[number % shards]
        entry = field(1, dtype) + field(2, dims) + field(3, number % shards)
        entry += field(4, len(shard)) + field(5, len(raw))
        entry += varint(6 << 3 | 5) + struct.pack("<I", masked(google_crc32c.value(raw)))
        shard.extend(raw)
        pairs.append((key.encode(), entry))
    for i, content in enumerate(data):
        Path(f"{prefix}.data-{i:05d}-of-{shards:05d}").write_bytes(bytes(content))
    write_table(Path(f"{prefix}.index"), pairs)


def write_weights(path: Path, tensors: dict[str, np.ndarray], **options: Any) -> None:
    """Write a Keras 3 weights file: arrays by layer name; options go to `create_dataset`."""
    with h5py.File(path, "w") as file:
        for layer, values in tensors.items():
            group = file.create_group(f"layers/{layer}/vars")
            group.attrs["name"] = layer
            group.create_dataset("0", data=values, **options)


__all__ = ["Format", "Scanned", "field", "flip", "masked", "request_for", "scanned", "seeded"]
