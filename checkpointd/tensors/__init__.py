"""Reads the weights of a checkpoint without TensorFlow: one pass, bounded memory, no mmap.

One file a container: `bundle` (TensorFlow's checkpoints), `hdf5`, `keras_zip`. Each plans first
(what is where, which is what `structure` judges) and reads then, checksums and statistics in
one pass over the bytes (what `integrity` and `finite` judge). `reading` chooses among them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# A reader that holds HDF5's lock makes the trainer's next save fail, after it has truncated the
# old file to nothing. HDF5 looks at this when it is loaded, so it has to come before h5py.
os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"

MODEL, OPTIMIZER, OTHER = "model", "optimizer", "other"
"""The roles of a tensor: a weight of the model, a variable of the optimizer, anything else."""


@dataclass(frozen=True)
class TensorSpec:
    """A stored tensor before it is read.

    `name` is unique in its checkpoint and as near as the container allows to the variable's own
    (`dense/kernel`); `key` is its name in the container; `dtype` is numpy's or ml_dtypes' name;
    `decided_by` is what decided its role; `layer` the names of the layers that hold it
    (`mha/query`), where a file that numbers variables states them.
    """

    name: str
    key: str
    role: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    decided_by: str = ""
    layer: str = ""


@dataclass(frozen=True)
class TensorStats:
    """A stored tensor after it was read.

    `nan` and `inf` count values, `minus_inf` those of the infinite ones that are negative.
    `sum_of_squares` is that of the finite ones; None where the type has no values to square, or it
    overflowed. `crc32` is `zlib.crc32` of the values' C-order little-endian bytes, which is what a
    golden record holds.
    """

    name: str
    key: str
    role: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    nan: int
    inf: int
    sum_of_squares: float | None
    crc32: int
    minus_inf: int = 0
    decided_by: str = ""

    @property
    def count(self) -> int:
        """How many values it holds."""
        count = 1
        for n in self.shape:
            count *= n
        return count


@dataclass(frozen=True)
class Problem:
    """A stored checksum that does not hold: a word of `integrity` and one sentence.

    `tensor` is the name of the only tensor that it is about; empty if it is about more.
    """

    word: str
    message: str
    tensor: str = ""


@dataclass(frozen=True)
class MemberDigest:
    """One file of a checkpoint after it was read: `name` as in `checkpoint.Member`.

    `crc32` is zlib's, None where nobody asked for it.
    """

    name: str
    size: int
    crc32c: int
    crc32: int | None = None


@dataclass(frozen=True)
class MembersRead:
    """What was found besides tensors while files were read: their digests, and what is wrong."""

    members: tuple[MemberDigest, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Contents:
    """What one pass over a checkpoint found; `digest` covers every byte of every member.

    `crc32` is zlib's of a checkpoint that is one HDF5 file, if it was asked for.
    """

    tensors: tuple[TensorStats, ...]
    digest: str
    problems: tuple[Problem, ...]
    crc32: int | None = None


def combine(members: Iterable[MemberDigest]) -> str:
    """Make one text digest of the members' checksums, in the order of their names."""
    lines = sorted(f"{m.name}\0{m.size}\0{m.crc32c:08x}" for m in members)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def unique(names: Iterable[tuple[str, str]]) -> list[str]:
    """Choose a name for each (wanted, key): the wanted one, with the key where it is not unique."""
    pairs = list(names)
    seen: dict[str, int] = {}
    for wanted, _ in pairs:
        seen[wanted] = seen.get(wanted, 0) + 1
    return [key if seen[wanted] > 1 else wanted for wanted, key in pairs]
