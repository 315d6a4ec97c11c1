"""Inputs that an artifact's declared inputs allow: several tries, from plain to plainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OPEN_SIZES = (1, 8, 32, 224)
"""What is tried where a size is left open, the batch aside."""

_UNKNOWN_RANK: tuple[tuple[int, ...], ...] = ((1,), (), (1, 1))
_SEED = 3
_EXAMPLE = b"\n\x00"  # tf.train.Example without features


def tries(specs: Mapping[str, tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give inputs by name, one try after the other.

    Args:
        specs: the dtype's name and the shape of each input; a size or the whole shape may be None.
    """
    rng = np.random.default_rng(_SEED)
    for size in OPEN_SIZES:
        for rank in _UNKNOWN_RANK:
            for kind in ("random", "ones", "zeros"):
                yield {
                    name: _array(dtype, _shape(shape, size, rank), kind, rng)
                    for name, (dtype, shape) in specs.items()
                }
            if all(shape is not None for _, shape in specs.values()):
                break
        if not any(None in (shape or (None,))[1:] for _, shape in specs.values()):
            break


def _shape(shape: Any, size: int, rank: tuple[int, ...]) -> tuple[int, ...]:
    if shape is None:
        return rank
    return tuple(
        (1 if axis == 0 else size) if length is None else length
        for axis, length in enumerate(shape)
    )


def _array(dtype: str, shape: tuple[int, ...], kind: str, rng: np.random.Generator) -> Any:
    if dtype == "string":
        return np.full(shape, {"random": _EXAMPLE, "ones": b"1", "zeros": b""}[kind], object)
    if dtype == "bool":
        return np.full(shape, kind != "zeros")
    if "float" in dtype or dtype == "half":
        values = {"random": rng.uniform(0.05, 0.95, shape), "ones": 1.0, "zeros": 0.0}[kind]
        wide = {"float16": "float16", "half": "float16", "float64": "float64"}.get(dtype, "float32")
        return np.broadcast_to(np.asarray(values, wide), shape).copy()
    if kind == "random":
        return rng.integers(0, 2, shape).astype(dtype)
    return np.full(shape, int(kind == "ones"), dtype)
