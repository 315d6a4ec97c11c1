"""Errors of Keras and TensorFlow, shortened: the cause first."""

from __future__ import annotations

import pytest

from checkpointd.verify.load.keras_messages import cause_first
from checkpointd.verify.load.load_errors import one_line

_CONFIG = "{'name': 'block', 'dtype': {'class_name': 'DTypePolicy', 'config': {'name': 'x'}}}"
_NESTED = (
    "TypeError: <class 'keras.src.models.sequential.Sequential'> could not be deserialized "
    "properly. Please ensure that components are deserialized.\n\n"
    f"config={{'layers': [{_CONFIG}]}}.\n\nException encountered: "
    f"Error when deserializing class 'Block' using config={_CONFIG}.\n\n"
    "Exception encountered: Block.__init__() missing 1 required positional argument: 'units'"
)
_CALLED = (
    "ValueError: Exception encountered when calling layer 'block' (type Block).\n\n"
    "Exception encountered when calling Dense.call().\n\n"
    "\x1b[1mMatrix size-incompatible: In[0]: [1,3], In[1]: [4,2]\x1b[0m\n\n"
    "Arguments received by Dense.call():\n  • inputs=tf.Tensor(shape=(1, 3))\n\n"
    "Call arguments received by layer 'block' (type Block):\n  • inputs=tf.Tensor(shape=(1, 3))"
)
_GRAPH = (
    "NotFoundError: Graph execution error:\n\nDetected at node 'a' defined at (most recent "
    "call last):\nNode: 'a'\nNo table.\n\t [[{{node a}}]] [Op:__inference_f_1]"
)


def test_the_cause_comes_first_however_deep_it_was() -> None:
    """Keras 3 puts it after the configuration of every object around it."""
    assert one_line(_NESTED, 200) == (
        "TypeError: Block.__init__() missing 1 required positional argument: 'units' "
        "(when making 'block' from the configuration of Block)."
    )


def test_an_error_in_a_call_is_reported_without_its_arguments() -> None:
    """The innermost cause, in which layer it was, and no escape codes."""
    assert one_line(_CALLED, 300) == (
        "ValueError: Matrix size-incompatible: In[0]: [1,3], In[1]: [4,2] "
        "(when calling Dense.call())."
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            f"TypeError: Could not locate class 'A'. Full object config: {_CONFIG}",
            "TypeError: Could not locate class 'A'.",
        ),
        (f"TypeError: no {_CONFIG}", f"TypeError: no {_CONFIG}"),
        ("ValueError: config={'never': 'closed'", "ValueError:"),
        ("no type at all", "no type at all"),
        ("KeyError: 'x'", "KeyError: 'x'"),
        (_GRAPH, "NotFoundError: No table."),
        (f"TypeError: not {{'value': ['4wE{'Aa9+' * 30}']}}", "TypeError: not {'value': ['…']}"),
    ],
)
def test_configurations_and_graphs_are_left_out(text: str, line: str) -> None:
    """What is no part of the cause is not one_line, whether it is whole or not."""
    assert cause_first(text).strip() == line
