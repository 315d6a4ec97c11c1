"""The table of loaders: which of them are tried for a checkpoint, and in which order."""

from __future__ import annotations

import pytest

from checkpointd.core.format_specs import FORMATS, Format, function
from checkpointd.core.loader_specs import LOADERS, in_order, loaders_of

BOTH = ("keras", "tf_keras")


@pytest.mark.parametrize(
    ("generation", "installed", "names"),
    [
        (3, BOTH, ["keras", "tf_keras"]),
        (2, BOTH, ["tf_keras", "keras"]),
        (1, BOTH, ["tf_keras", "keras"]),
        (0, BOTH, ["keras", "tf_keras"]),
        (2, ("keras",), ["keras"]),
        (3, (), []),
    ],
)
def test_the_library_of_the_writer_comes_first(
    generation: int, installed: tuple[str, ...], names: list[str]
) -> None:
    """Then the others that are installed, in the order of the table."""
    specs = in_order(loaders_of(Format.KERAS), generation, installed)
    assert [spec.name for spec in specs] == names


def test_each_format_has_a_loader() -> None:
    """Weights alone are loaded into what a builder makes, whole models without one."""
    for spec in FORMATS:
        found = loaders_of(spec.name)
        assert found, spec.name
        assert all(one.needs_builder is not spec.whole_model for one in found), spec.name


def test_each_row_names_functions_that_are_there() -> None:
    """They can be imported where neither Keras nor TensorFlow has been imported yet."""
    for spec in LOADERS:
        assert callable(function(spec.load)), spec.name
        assert callable(function(spec.explain)), spec.name
