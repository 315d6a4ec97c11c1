"""Golden inputs and warm-up requests, fitted to the signatures of a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from checkpointd import golden
from checkpointd.golden.arrays import TEXT_KINDS, Ragged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.golden import Golden
    from checkpointd.golden.arrays import Array
    from checkpointd.verify.load.loaded import ArraySpec, Signature

OF_KERAS = ("serving_default", "serve")
"""Under which names Keras exports what the model itself computes."""


@dataclass(frozen=True)
class Feed:
    """Inputs by name for one signature.

    `on` says what they are. `proven`: they were recorded for this very signature, so that one
    that refuses them is broken. `expected` holds by an output's name what the original gave for
    them, where that is known.
    """

    arrays: Mapping[str, Any]
    on: str = "golden inputs"
    proven: bool = True
    expected: Mapping[str, Any] = field(default_factory=dict)


def from_record(record: Golden | None, signature: Signature, name: str = "") -> Feed | None:
    """Fit the golden inputs to a signature, by name, else by order; None when they do not fit.

    Args:
        record: of the checkpoint.
        signature: that is to take them.
        name: of the signature; where it was recorded itself, its own inputs are taken.
    """
    if record is None:
        return None
    by_name = record.input_structure == golden.DICT
    run = record.signatures.get(name)
    feed = fitted(run.inputs, signature, by_name=by_name) if run is not None else None
    outputs = run.outputs if run is not None else record.outputs
    if feed is None:
        feed = fitted(record.inputs, signature, by_name=by_name)
        outputs = record.outputs
        if feed is not None and (record.signatures or name not in OF_KERAS):
            return replace(feed, proven=False)
    if feed is None or record.stochastic:
        return feed
    return replace(feed, expected=outputs)


def fitted(
    inputs: Mapping[str, Array], signature: Signature, *, by_name: bool, on: str = "golden inputs"
) -> Feed | None:
    """Fit inputs to a signature, by name, else by order; None when they do not fit.

    Args:
        inputs: by name.
        signature: that is to take them.
        by_name: the names are the user's, so that their order means nothing.
        on: what they are.
    """
    given = in_parts(inputs) if signature.in_parts else dict(inputs)
    if len(given) != len(signature.inputs) or not given:
        return None
    names = [spec.name for spec in signature.inputs]
    if set(names) == set(given):
        arrays = {name: given[name] for name in names}
    elif by_name:  # as tf.nest flattens it
        arrays = {name: given[key] for name, key in zip(names, sorted(given))}
    else:
        arrays = dict(zip(names, given.values()))
    fits = all(_fits(arrays[spec.name], spec) for spec in signature.inputs)
    return Feed(arrays, on) if fits else None


def in_parts(inputs: Mapping[str, Array]) -> dict[str, Any]:
    """Take ragged inputs apart, as a SavedModel's signature takes them: `x`, `x_1`, ...."""
    parts: dict[str, Any] = {}
    for name, value in inputs.items():
        pieces = value.components if isinstance(value, Ragged) else [value]
        parts.update((f"{name}_{i}" if i else name, piece) for i, piece in enumerate(pieces))
    return parts


def _fits(array: Any, spec: ArraySpec) -> bool:
    text = array.dtype.kind in TEXT_KINDS
    return text == (spec.dtype == "string") and not wrong_shape(array.shape, spec.shape)


def wrong_shape(shape: tuple[int | None, ...], declared: tuple[int | None, ...] | None) -> bool:
    """Whether an array's shape contradicts a declared one, None being any size."""
    if declared is None:
        return False
    return len(shape) != len(declared) or any(
        size is not None and size != actual for size, actual in zip(declared, shape)
    )
