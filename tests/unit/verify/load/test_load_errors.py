"""What an exception while loading means, without TensorFlow."""

from __future__ import annotations

import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.verify.load import load_errors


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Unknown layer: 'CustomDense'. Please ensure you are using", "CustomDense"),
        ('Unknown loss function: "custom_loss". Please ensure', "custom_loss"),
        ("Unknown loss function: custom_loss. Please ensure", "custom_loss"),
        ("Could not locate class 'Mine'. Make sure custom classes", "Mine"),
        ("Could not locate function 'swoosh'. Make sure", "swoosh"),
        ("Could not interpret activation function identifier: swoosh", "swoosh"),
        ("Could not locate class 'pkg>Mine'. Make sure", "pkg>Mine"),
        ("No such thing", ""),
    ],
)
def test_the_unknown_object_is_named(text: str, name: str) -> None:
    """The messages of Keras 2, Keras 3 and tf-keras all give up the name."""
    assert load_errors.unknown_name(ValueError(text)) == name


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("It broke", "It broke."),
        ("It\n\n  broke.\n", "It broke."),
        ("Found 2. Showing 2 of 2 unmatched objects: [<Variable path=a, value=0>]", "Found 2."),
        (
            "Not <V path=a/b, shape=(2,), value=[[1 2]\n [3 4]]> here",
            "Not <V path=a/b, shape=(2,)> here.",
        ),
        (
            "Bad: <V path=a, value=1>\nList of objects that could not be loaded:\n[]",
            "Bad: <V path=a>.",
        ),
        ("One. " * 12, ("One. " * 8).strip()),
        ("x" * 50, "x" * 40 + "…."),
    ],
)
def test_a_message_of_a_library_becomes_a_sentence(text: str, line: str) -> None:
    """No line break, no array of numbers, no list; a full stop at the end."""
    assert load_errors.one_line(text, 40) == line


def test_a_missing_object_comes_with_the_line_that_names_it() -> None:
    """The message holds a line that can be pasted into the config."""
    result = load_errors.unknown_object(("pkg>Mine", "swoosh"), ())
    assert result.outcome is Outcome.ERROR
    assert result.reason == "load.unknown_object"
    assert (
        'custom_objects = { "pkg>Mine" = "your_module:Mine", swoosh = "your_module:swoosh" }'
        in result.message
    )
    assert result.details["object"] == "pkg>Mine"


@pytest.mark.parametrize(
    ("module", "named"),
    [
        ("keras_rs.src.layers.cross", "keras_rs.src.layers.cross"),
        ("layers", "layers"),
        *((module, "your_module") for module in ("", "__main__", "os", "builtins", "a b", "np.")),
    ],
)
def test_the_line_names_the_module_that_the_file_names(module: str, named: str) -> None:
    """Where a model's code can be in it: nobody is led to import what only an attacker names."""
    result = load_errors.unknown_object(("pkg>Cross",), (), modules={"pkg>Cross": module})
    assert f'custom_objects = {{ "pkg>Cross" = "{named}:Cross" }}' in result.message
    top = named.partition(".")[0]
    assert f"the directory that {top} is in" in result.message
    assert ("or python an interpreter with" in result.message) is (named != "your_module")


def test_a_function_that_only_an_attacker_names_is_not_put_into_the_line() -> None:
    """A class of that name may be the user's; a function would be called."""
    result = load_errors.unknown_object(("load",), (), modules={"load": "joblib"})
    assert '{ load = "your_module:load" }' in result.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "load.out_of_memory"),
        (PermissionError(13, "Permission denied", "/x"), "load.unreadable"),
        (OSError("Unable to synchronously open file"), "load.load_error"),
        (ValueError("Requested the deserialization of a `Lambda` layer"), "safety.needs_code"),
        (RuntimeError("Op type not registered 'Mine' in binary"), "load.environment"),
        (ModuleNotFoundError("No module named 'mine'"), "load.environment"),
        (ValueError("Layer 'a' expected 2 variables"), "load.load_error"),
    ],
)
def test_an_error_while_loading_gets_the_reason_of_its_cause(error: Exception, reason: str) -> None:
    """Only what is the checkpoint's own fault is a failure."""
    assert load_errors.classify(error).reason == reason
