"""Names the arrays of what a model is given and of what it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.golden.arrays import Array, ArrayError, array_of, flattened
from checkpointd.golden.record import DICT, LIST, SINGLE, GoldenError

if TYPE_CHECKING:
    from collections.abc import Mapping


def name_inputs(inputs: Any) -> tuple[dict[str, Array], str]:
    """Name the arrays of what a model is given: one array, several in order, or by name.

    Returns:
        The arrays by name, and SINGLE, LIST or DICT.

    Raises:
        GoldenError: it is none of these.
    """
    return _named(inputs, "input")


def name_outputs(outputs: Any) -> tuple[dict[str, Array], str]:
    """Name the arrays of what a model gave; the same as `name_inputs` for outputs.

    Structures within structures become one, by names such as `state/0`.

    Raises:
        GoldenError: it is neither one array, nor several in order, nor by name.
    """
    return _named(flattened(outputs), "output")


def assemble(arrays: Mapping[str, Any], structure: str) -> Any:
    """Put named arrays together as a model is given them: the inverse of `name_inputs`."""
    if structure == DICT:
        return dict(arrays)
    values = list(arrays.values())
    return values if structure == LIST else values[0]


def name_optional(value: Any, word: str) -> tuple[dict[str, Array], str]:
    """Name the arrays of labels or sample weights; the same as `name_inputs`, and None is no array.

    Raises:
        GoldenError: it is neither one array, nor several in order, nor by name.
    """
    return ({}, SINGLE) if value is None else _named(value, word)


def _named(value: Any, word: str) -> tuple[dict[str, Array], str]:
    if hasattr(value, "items") and not hasattr(value, "shape"):
        arrays = {str(name): _array(item, str(name)) for name, item in value.items()}
        structure = DICT
    elif isinstance(value, (list, tuple)) and value and all(hasattr(v, "shape") for v in value):
        arrays = {f"{word}_{i}": _array(item, f"{word}_{i}") for i, item in enumerate(value)}
        structure = LIST
    else:
        arrays, structure = {word: _array(value, word)}, SINGLE
    if not arrays:
        raise GoldenError(f"There is no {word} at all: give at least one array.")
    return arrays, structure


def _array(value: Any, name: str) -> Array:
    try:
        return array_of(value, name)
    except ArrayError as error:
        raise GoldenError(str(error)) from error
