"""Digests of stored tensors, which the scan stage passes to the load stage.

The load stage compares them with the variables that a loader restored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.report import Digest
from checkpointd.tensors import OPTIMIZER, roles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.tensors import TensorStats

MOST_TENSORS = 20_000
"""How many digests are passed on at most: each is about 100 bytes of JSON."""


def of_optimizer(tensors: Iterable[TensorStats]) -> tuple[Digest, ...] | None:
    """Return the digests of the optimizer's variables among the tensors of a checkpoint.

    They keep the names that they have in the file, which show what each one is for.

    Returns:
        None if there are too many to be compared.
    """
    return _bounded(
        Digest(_path(t.key), t.dtype, tuple(t.shape), t.crc32)
        for t in tensors
        if t.role == OPTIMIZER
    )


def of_others(tensors: Iterable[TensorStats]) -> tuple[Digest, ...] | None:
    """Return the digests, without names, of what is stored besides the optimizer.

    Returns:
        None if there are too many to be compared.
    """
    return _bounded(Digest("", t.dtype, t.shape, t.crc32) for t in tensors if t.role != OPTIMIZER)


def _bounded(digests: Iterable[Digest]) -> tuple[Digest, ...] | None:
    bounded = tuple(digests)
    return bounded if len(bounded) <= MOST_TENSORS else None


def _path(key: str) -> str:
    return key.partition(roles.ATTRIBUTES)[0].removeprefix("optimizer_weights/")
