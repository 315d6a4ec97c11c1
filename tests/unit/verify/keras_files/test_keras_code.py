"""Code that a configuration stores, and whether this Python can run it."""

from __future__ import annotations

import base64
import marshal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.verify.keras_files.keras_code import find_foreign_bytecode, find_stored_code
from tests.helpers.interpreters import of_version

if TYPE_CHECKING:
    from types import CodeType

WRITE = (
    "import base64, marshal; "
    "f = lambda t: abs(t[0] - t[1]) if t else [x for x in t]; "
    "print(base64.b64encode(marshal.dumps(f.__code__)).decode())"
)


def own() -> CodeType:
    """The code of a function of this Python, with another within it."""
    return (lambda t: [abs(x) for x in t] + [t[0]]).__code__


def configs(code: str) -> list[Any]:
    """How Keras 2 and Keras 3 store a Lambda's function."""
    old = {"name": "shift", "function": [code, None, None], "function_type": "lambda"}
    new = {"class_name": "__lambda__", "config": {"code": code, "defaults": None}}
    return [
        {"class_name": "Lambda", "config": old},
        {"class_name": "Lambda", "config": {"name": "shift", "function": new}},
    ]


def encoded(code: CodeType) -> str:
    """Bytecode as Keras stores it, with the line breaks of older ones."""
    return base64.encodebytes(marshal.dumps(code)).decode()


def test_its_own_bytecode_is_taken() -> None:
    """What this very Python made, it can run."""
    assert [find_foreign_bytecode(c) for c in configs(encoded(own()))] == ["", ""]


def test_bytecode_that_cannot_be_unmarshalled_is_anothers() -> None:
    """Python 3.11 laid code objects out anew."""
    text = base64.b64encode(marshal.dumps(own())[:-40]).decode()
    assert all(find_foreign_bytecode(c) for c in configs(text))


def test_bytecode_with_instructions_that_are_not_known_is_anothers() -> None:
    """In a function within the function too; it is found without being run."""
    inner = own().replace(co_code=bytes([255, 0]) * 8)
    outer = own().replace(co_consts=(*own().co_consts, inner))
    for code in (inner, outer):
        assert all(find_foreign_bytecode(c) for c in configs(encoded(code)))


def test_a_function_that_is_only_named_is_no_bytecode() -> None:
    """It is the user's own, whatever its name."""
    named = {"function": "shift", "function_type": "function"}
    assert find_foreign_bytecode({"class_name": "Lambda", "config": named}) == ""


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_real_bytecode_of_other_pythons_is_distinguished_from_this_ones(version: str) -> None:
    """As far as there are such interpreters on this machine."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = of_version(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    done = subprocess.run([python, "-c", WRITE], capture_output=True, text=True, check=True)
    found = [find_foreign_bytecode(c) for c in configs(done.stdout.strip())]
    assert all(found) is (version != here)


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        ({"class_name": "Lambda", "config": {"name": "l", "function": ["4wEA", None, None]}}, True),
        ({"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__"}}}, True),
        ({"class_name": "Lambda", "config": {"function": {"class_name": "function"}}}, False),
        (
            {"class_name": "Lambda", "config": {"function": "f", "function_type": "function"}},
            False,
        ),
        ({"class_name": "Dense", "config": {"name": "Lambda"}}, False),
    ],
)
def test_stored_python_code_is_found(layer: dict[str, Any], found: bool) -> None:
    """A Lambda layer that holds bytecode is found; one that names a function holds none."""
    assert bool(find_stored_code({"config": {"layers": [{"class_name": "Dense"}, layer]}})) is found
