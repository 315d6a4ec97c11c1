"""What a report keeps of the model's tensors, so that the next checkpoint can be compared.

Of each tensor its name, dtype, shape, norm and CRC-32, packed into one text: a model of 320
tensors takes 9 kB, one of 10 000 takes 200 kB, whatever its bytes. Beyond `MAX_PACKED` only the
largest tensors are kept, and the text states how many are not. Standard library only, Python 3.9.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from checkpointd.core.report import MAX_PACKED
from checkpointd.tensors import MODEL, TensorSpec, TensorStats

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MAX_TENSORS = 10_000
_MAX_UNPACKED = 16 * 1024 * 1024
_ARBITRARY = ("_all_variables/", "_trainable_variables/", "_non_trainable_variables/")
_VERSION = 1

S = TypeVar("S", TensorSpec, TensorStats)


@dataclass(frozen=True)
class Weight:
    """One tensor of a model: `norm` is Euclidean, None where the type has no floating values."""

    dtype: str
    shape: tuple[int, ...]
    norm: float | None
    crc32: int

    @property
    def rms(self) -> float:
        """The root mean square of its values; 0 where there is none."""
        return (self.norm or 0.0) / math.sqrt(max(1, math.prod(self.shape)))


@dataclass(frozen=True)
class Baseline:
    """The weights of one checkpoint by name; `left_out` counts those that were too many."""

    weights: Mapping[str, Weight] = field(default_factory=dict)
    left_out: int = 0


def model_tensors(tensors: Iterable[S]) -> dict[str, S]:
    """Choose the model's own tensors, each once, by a name that lasts from save to save.

    Keras 3's `export` stores every variable a second time in a list whose order changes with each
    start of the training job (`_all_variables/7`); what is there under another key is left out.
    """
    weights = [t for t in tensors if t.role == MODEL]
    named = {_base(t) for t in weights if not t.key.startswith(_ARBITRARY)}
    kept = [t for t in weights if not (t.key.startswith(_ARBITRARY) and _base(t) in named)]
    counts: dict[str, int] = {}
    for tensor in kept:
        counts[_base(tensor)] = counts.get(_base(tensor), 0) + 1
    return {(_base(t) if counts[_base(t)] == 1 else t.name): t for t in kept}


def _base(tensor: TensorSpec | TensorStats) -> str:
    return tensor.name.split(" (")[0]


def weight_of(tensor: TensorStats) -> Weight:
    """Keep of a tensor what its successor is compared with."""
    floating = tensor.dtype.startswith(("float", "bfloat", "complex"))
    squares = tensor.sum_of_squares if floating else None
    norm = None if squares is None else float(f"{math.sqrt(squares):.9g}")
    return Weight(tensor.dtype, tuple(tensor.shape), norm, tensor.crc32)


def pack(tensors: Iterable[TensorStats]) -> str:
    """Write what a successor needs to know of a checkpoint's tensors; at most `MAX_PACKED`."""
    chosen = model_tensors(tensors)
    limit = min(len(chosen), _MAX_TENSORS)
    while True:
        text = _pack(_largest(chosen, limit), len(chosen) - limit)
        if len(text) <= MAX_PACKED:
            return text
        limit = limit // 2


def _largest(chosen: Mapping[str, TensorStats], limit: int) -> dict[str, Weight]:
    if limit < len(chosen):
        by_size = sorted(chosen, key=lambda name: (-chosen[name].count, name))
        kept = set(by_size[:limit])
        chosen = {name: tensor for name, tensor in chosen.items() if name in kept}
    return {name: weight_of(tensor) for name, tensor in chosen.items()}


def _pack(weights: Mapping[str, Weight], left_out: int) -> str:
    rows = [[n, w.dtype, list(w.shape), w.norm, w.crc32] for n, w in weights.items()]
    text = json.dumps([_VERSION, left_out, rows], separators=(",", ":"))
    return base64.b85encode(zlib.compress(text.encode("ascii"), 6)).decode("ascii")


def unpack(text: str) -> Baseline | None:
    """Read what `pack` wrote; None if there is nothing, or nothing that can be read."""
    if not text:
        return None
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b85decode(text), _MAX_UNPACKED)
        version, left_out, rows = json.loads(data)
        if version != _VERSION or not inflate.eof:
            return None
        return Baseline({str(row[0]): _weight(row) for row in rows}, int(left_out))
    except (ValueError, TypeError, IndexError, zlib.error, RecursionError):
        return None


def _weight(row: Sequence[Any]) -> Weight:
    _, dtype, shape, norm, crc32 = row
    return Weight(
        str(dtype),
        tuple(int(n) for n in shape),
        None if norm is None else float(norm),
        int(crc32),
    )
