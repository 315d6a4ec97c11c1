"""Mutations of checkpoints: of any byte, and behind the checksums that would stop them at once."""

from __future__ import annotations

import io
import shutil
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c
import h5py

from checkpointd.formats.table import read_table
from tests.helpers.bundles import CRC_FIELD, mask, write_table
from tests.helpers.corpus import files_of
from tests.helpers.fuzz.raw import json_mutated, message_mutated, mutated
from tests.helpers.protobuf import field

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

FORMATS = {
    "savedmodel": "export",
    "keras": "m.keras",
    "hdf5": "m.h5",
    "hdf5_weights": "m.weights.h5",
    "tf_checkpoint": "ckpt-1",
    "sharded": "s.weights.json",
}
_HDF5_PARTS = (b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"\x89HDF")


def mutate(source: Path, other: Path, target: Path, rng: random.Random) -> str:
    """Copy a checkpoint and change one thing in it.

    Args:
        source: a good one.
        other: another save of the same model.
        target: where the copy goes, with the same name.
        rng: decides what is changed, and how.

    Returns:
        What was done, in words.
    """
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        for file in _files(source):
            shutil.copy2(file, target.parent / file.name)
    kinds = {
        "export": (_any_file, _any_file, _graph, _graph, _index, _tensor),
        "ckpt-1": (_any_file, _any_file, _index, _index, _tensor),
        "m.keras": (_any_file, _member, _member, _config, _directory),
        "m.h5": (_any_file, _any_file, _metadata, _metadata, _attribute),
        "m.weights.h5": (_any_file, _any_file, _metadata, _metadata),
        "s.weights.json": (_any_file, _map, _map),
    }[source.name]
    kind: Callable[[Path, Path, random.Random], None] = rng.choice(kinds)
    kind(target, other, rng)
    return kind.__name__.strip("_").replace("_", " ")


def _files(path: Path) -> list[Path]:
    """The files of a checkpoint; those of sharded weights lie beside their map."""
    if path.suffix == ".json":
        return [path, *sorted(path.parent.glob("s_*"))]
    return files_of(path)


def _edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _any_file(path: Path, other: Path, rng: random.Random) -> None:
    """Any byte of any file."""
    file = rng.choice(_files(path))
    twin = other / file.relative_to(path) if other.is_dir() else other.parent / file.name
    _edit(file, lambda data: mutated(data, rng, twin.read_bytes()))


def _map(path: Path, _other: Path, rng: random.Random) -> None:
    """The map of sharded weights."""
    _edit(path, lambda data: json_mutated(data, rng))


def _graph(path: Path, _other: Path, rng: random.Random) -> None:
    """A field of the graph; its fingerprint does not tell."""
    _edit(path / "saved_model.pb", lambda data: message_mutated(data, rng))
    (path / "fingerprint.pb").unlink()


def _prefix(path: Path) -> Path:
    return path / "variables" / "variables" if path.is_dir() else path


def _index(path: Path, _other: Path, rng: random.Random) -> None:
    """An entry of the index, whose blocks have the right checksums."""
    index = Path(f"{_prefix(path)}.index")
    pairs = list(read_table(str(index)))
    at = rng.randrange(len(pairs))
    key, value = pairs[at]
    if rng.random() < 0.2:
        key = mutated(key, rng)
    else:
        value = message_mutated(value, rng) if value else rng.randbytes(5)
    pairs[at] = (key, value)
    write_table(index, pairs)
    (path / "fingerprint.pb").unlink(missing_ok=True)


def _tensor(path: Path, _other: Path, rng: random.Random) -> None:
    """The bytes of a tensor, and the checksum of its entry with them."""
    prefix = _prefix(path)
    index, shard = Path(f"{prefix}.index"), Path(f"{prefix}.data-00000-of-00001")
    pairs = list(read_table(str(index)))
    at = rng.randrange(1, len(pairs))
    key, value = pairs[at]
    head, found, _ = value.rpartition(CRC_FIELD)
    start, size = _place(value)
    data = shard.read_bytes()
    if not found or not size:
        return
    piece = data[start : start + size]
    changed = message_mutated(piece, rng) if b"GRAPH" in key else mutated(piece, rng)
    changed = changed[:size].ljust(size, b"\0")
    shard.write_bytes(data[:start] + changed + data[start + size :])
    crc = struct.pack("<I", mask(google_crc32c.value(changed)))
    pairs[at] = (key, head + CRC_FIELD + crc)
    write_table(index, pairs)
    (path / "fingerprint.pb").unlink(missing_ok=True)


def _place(entry: bytes) -> tuple[int, int]:
    from checkpointd.formats.protobuf import fields

    numbers = {n: v for n, v in fields(entry) if isinstance(v, int)}
    return numbers.get(4, 0), numbers.get(5, 0)


def _rewritten(path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Write an archive anew with one member changed: its CRC32 is right."""
    with zipfile.ZipFile(path) as file:
        parts = {one: file.read(one) for one in file.namelist()}
    parts[name] = change(parts[name])
    with zipfile.ZipFile(path, "w") as file:
        for one, data in parts.items():
            file.writestr(one, data)


def _member(path: Path, _other: Path, rng: random.Random) -> None:
    """The HDF5 file in an archive, or its metadata, or one of its JSON files."""
    name = rng.choice(("model.weights.h5", "model.weights.h5", "config.json", "metadata.json"))
    change = _in_metadata if name.endswith(".h5") and rng.random() < 0.7 else mutated
    _rewritten(path, name, lambda data: change(data, rng))


def _config(path: Path, _other: Path, rng: random.Random) -> None:
    """A value of the configuration."""
    name = rng.choice(("config.json", "config.json", "config.json", "metadata.json"))
    _rewritten(path, name, lambda data: json_mutated(data, rng))


def _directory(path: Path, _other: Path, rng: random.Random) -> None:
    """The archive's directory, or a member's header."""
    data = path.read_bytes()
    start = data.index(b"PK\x01\x02")
    if rng.random() < 0.3:
        path.write_bytes(mutated(data[:60], rng) + data[60:])
    else:
        path.write_bytes(data[:start] + mutated(data[start:], rng))


def _in_metadata(data: bytes, rng: random.Random) -> bytes:
    """A few bytes behind a signature of HDF5's own structures."""
    places = [at for part in _HDF5_PARTS for at in range(len(data)) if data.startswith(part, at)]
    at = rng.choice(places)
    size = rng.choice((16, 64, 256))
    changed = mutated(data[at : at + size], rng)[:size].ljust(size, b"\0")
    return data[:at] + changed[: len(data) - at] + data[at + size :]


def _metadata(path: Path, _other: Path, rng: random.Random) -> None:
    """HDF5's own structures."""
    _edit(path, lambda data: _in_metadata(data, rng))


def _attribute(path: Path, _other: Path, rng: random.Random) -> None:
    """The model's configuration, as HDF5 would have written it."""
    buffer = io.BytesIO(path.read_bytes())
    with h5py.File(buffer, "r+") as file:
        name = rng.choice([k for k in file.attrs if isinstance(file.attrs[k], str)])
        text = file.attrs[name].encode()
        if name.endswith("config") and rng.random() < 0.8:
            changed = json_mutated(text, rng)
        else:
            changed = mutated(text, rng)
        file.attrs[name] = changed.replace(b"\0", b"0") or b"x"
    path.write_bytes(buffer.getvalue())


__all__ = ["FORMATS", "field", "mutate"]
