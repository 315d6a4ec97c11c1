"""What the load side decides without TensorFlow: comparing, feeding, naming what is missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd import golden
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import Format
from checkpointd.golden import Golden
from checkpointd.verify.keras_files.keras_code import find_stored_code
from checkpointd.verify.load import load_errors, signatures
from checkpointd.verify.load.comparison import compare, tolerances
from checkpointd.verify.load.inputs import feeding
from checkpointd.verify.load.loaded import Signature, TensorSpec
from checkpointd.verify.load.loaders import keras

_NUMBERS = st.lists(st.floats(width=32), min_size=1, max_size=8)


def signature(*inputs: TensorSpec) -> Signature:
    """A signature that only says what it takes."""
    return Signature(inputs, (), dict)


@given(_NUMBERS)
def test_equal_outputs_never_differ(values: list[float]) -> None:
    """Whatever the values, NaN and infinity too, an output equals itself."""
    array = np.array(values, np.float32)
    found = compare("y", array, array.copy(), 0.0, 0.0)
    assert (found.max_abs, found.max_rel, found.beyond) == (0.0, 0.0, 0)


@given(_NUMBERS, st.integers(0, 7), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_value_that_is_not_finite_any_more_is_beyond(
    values: list[float], place: int, bad: float
) -> None:
    """NaN or infinity where a finite number was is found whatever the tolerance."""
    expected = np.nan_to_num(np.array(values, np.float32), posinf=1, neginf=-1)
    actual = expected.copy()
    actual[place % len(values)] = bad
    found = compare("y", expected, actual, 1e30, 1e30)
    assert found.beyond == 1
    assert found.max_abs == np.inf


@pytest.mark.parametrize(
    ("expected", "actual", "beyond"),
    [
        ([1.0, 100.0], [1.000005, 100.0005], 0),
        ([1.0, 100.0], [1.00002, 100.0005], 1),
        ([0.0], [2e-6], 1),
        ([1, 2, 3], [1, 2, 4], 1),
        ([True, False], [True, True], 1),
        ([b"a", b"b"], [b"a", b"c"], 1),
        ([[1.0]], [1.0], 1),
        ([], [], 0),
    ],
)
def test_differences_are_counted_beyond_atol_and_rtol(
    expected: list[Any], actual: list[Any], beyond: int
) -> None:
    """Numbers may differ by `atol + rtol * abs(golden)`; whole numbers and texts not at all."""
    assert compare("y", np.array(expected), np.array(actual), 1e-6, 1e-5).beyond == beyond


def test_sixteen_bits_widen_the_tolerances() -> None:
    """Two units in the last place of the type that the model computes with are allowed."""
    assert tolerances(1e-6, 1e-5, "float32") == (1e-6, 1e-5)
    assert tolerances(1e-6, 1e-5, "mixed_float16") == (2e-3, 2e-3)
    assert tolerances(1e-6, 0.5, "mixed_bfloat16") == (1.6e-2, 0.5)


def test_golden_inputs_are_fed_by_name_or_by_order() -> None:
    """Names decide where they agree; a single input fits whatever it is called."""
    spec = TensorSpec("x", "float32", (None, 3))
    record = Golden(inputs={"input": np.zeros((4, 3))})
    feed = feeding.from_record(record, signature(spec))
    assert feed is not None
    assert list(feed.arrays) == ["x"]
    wrong = signature(TensorSpec("x", "float32", (None, 5)))
    assert feeding.from_record(record, wrong) is None
    two = Golden(inputs={"b": np.ones((4, 3)), "a": np.zeros((4, 3))}, input_structure=golden.DICT)
    pair = feeding.from_record(two, signature(spec, TensorSpec("y", "float32", (None, 3))))
    assert pair is not None
    assert pair.arrays["x"].sum() == 0


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
def test_what_a_library_says_is_told_as_a_sentence(text: str, line: str) -> None:
    """No line break, no array of numbers, no list; a full stop at the end."""
    assert load_errors.one_line(text, 40) == line


def test_a_forgotten_object_comes_with_the_line_that_mends_it() -> None:
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
def test_a_failure_to_load_is_laid_at_the_right_door(error: Exception, reason: str) -> None:
    """Only what is the checkpoint's own fault is a failure."""
    assert load_errors.classify(error).reason == reason


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


def test_changed_signatures_are_told_in_words() -> None:
    """What is gone, new or different is named; equal signatures say nothing."""
    before = {"serve": {"inputs": [["x", "float32", [None, 3]]], "outputs": []}}
    now = {"serve": {"inputs": [["x", "float32", [None, 4]]], "outputs": [["y", "int64", []]]}}
    assert signatures.differences(before, before) == []
    assert signatures.differences(before, now) == [
        "serve's input 'x' was float32 [None, 3] and is float32 [None, 4]",
        "serve's output 'y' is new",
    ]
    assert signatures.differences(before, {}) == ["the signature 'serve' is gone"]


@pytest.mark.parametrize("guarded", [True, False])
def test_safe_mode_is_asked_of_a_keras_that_has_it(guarded: bool) -> None:
    """Before 2.13 `load_model` did not take it, and a good file is no load error."""
    asked: dict[str, Any] = {}

    def new(name: str, *, custom_objects: Any, compile: bool, safe_mode: bool) -> str:  # noqa: A002
        asked.update(custom_objects=custom_objects, compile=compile, safe_mode=safe_mode)
        return name

    def old(name: str, custom_objects: Any = None, compile: bool = True) -> str:  # noqa: A002
        asked.update(custom_objects=custom_objects, compile=compile)
        return name

    library = SimpleNamespace(models=SimpleNamespace(load_model=new if guarded else old))
    keras.load_model("/x/m.h5", Format.HDF5, library, {}, False, compiled=True)
    assert asked == {
        "custom_objects": {},
        "compile": True,
        **({"safe_mode": True} if guarded else {}),
    }
