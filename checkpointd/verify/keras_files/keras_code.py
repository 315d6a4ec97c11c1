"""Python code that a Keras configuration stores as marshalled bytecode.

CVE-2024-3660, CVE-2025-9905 and CVE-2026-12481: a Lambda layer keeps its function, its
`output_shape` and its `mask` this way. Keras ignores `safe_mode` in an HDF5 file, tf-keras ignores
it everywhere. A function that is only named is not stored code.
"""

from __future__ import annotations

import base64
import binascii
import dis
import marshal
import re
import sys
from types import CodeType
from typing import TYPE_CHECKING, Any

from checkpointd.verify.keras_files.keras_nodes import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.verify.keras_files.keras_nodes import Node

_PARTS = ("function", "output_shape", "mask")
_BYTECODE = re.compile(r"(?:4w|Yw)[A-Q]AAAA")
"""How base64 of marshal's code object begins: its type, and fewer than 256 arguments."""

_MIN_LENGTH = 80


def find_stored_code(config: Any) -> str:
    """Find the first object whose code is stored in a configuration.

    Returns:
        Its path, such as `model/td/lambda_1`; empty when there is none.
    """
    return next((node.path for node in nodes(config) if stores_code(node)), "")


def stores_code(node: Node) -> bool:
    """Whether loading one object of a configuration would run code that is stored in it."""
    if node.kind == "__lambda__":
        return True
    config = node.config
    if "Lambda" in (node.kind, node.content.get("registered_name")):
        typed = any(config.get(f"{part}_type") == "lambda" for part in _PARTS)
        return typed or not _is_named(config)
    return any(_is_bytecode(value) for value in config.values())


def _is_named(config: Any) -> bool:
    """Whether a Lambda layer only names its function, so that the code is the user's."""
    function = config.get("function")
    if isinstance(function, dict):  # a function's name, or an object that can be called
        return function.get("class_name") not in (None, "__lambda__")
    return isinstance(function, str) and config.get("function_type") == "function"


def _is_bytecode(value: Any) -> bool:
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    return isinstance(first, str) and len(first) > _MIN_LENGTH and bool(_BYTECODE.match(first))


def find_foreign_bytecode(config: Any) -> str:
    """Find the first object whose stored code is of another Python: this one might crash on it.

    Only for a checkpoint whose code is trusted: the code is unmarshalled, but not run.

    Returns:
        Its path, such as `model/td/lambda_1`; empty when there is none.
    """
    with_code = (node for node in nodes(config) if stores_code(node))
    return next((n.path for n in with_code if any(_is_foreign(text) for text in _stored(n))), "")


def _stored(node: Node) -> Iterator[str]:
    """Yield the strings in an object that may be bytecode."""
    for value in (node.content.get("code"), *node.config.values()):
        first = value[0] if isinstance(value, (list, tuple)) and value else value
        if isinstance(first, str) and _BYTECODE.match(first):
            yield first


def _is_foreign(text: str) -> bool:
    try:
        code = marshal.loads(base64.b64decode(text))  # noqa: S302 - of a trusted writer
    except binascii.Error:
        return False  # Keras has a better message for it
    except (ValueError, TypeError, EOFError):
        return True
    return isinstance(code, CodeType) and not _is_of_this_python(code)


def _is_of_this_python(code: CodeType) -> bool:
    """Whether code consists of this Python's instructions, as far as `dis` knows them."""
    try:
        names = [instruction.opname for instruction in dis.get_instructions(code)]
    except Exception:  # noqa: BLE001 - it looks up names by numbers that mean something else
        return False
    if any(name == "CACHE" or name.startswith("<") for name in names):
        return False
    if sys.version_info >= (3, 11) and "RESUME" not in names:
        return False
    return all(_is_of_this_python(c) for c in code.co_consts if isinstance(c, CodeType))
