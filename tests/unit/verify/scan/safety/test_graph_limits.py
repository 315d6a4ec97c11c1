"""Graphs that are small on disk and have no end in memory."""

from __future__ import annotations

import pytest

from tests.helpers.graphs import (
    FLOAT,
    MIB,
    constant,
    found,
    function,
    meta_graph,
    node,
    numbers,
    outputs,
    shaped,
    words,
)
from tests.helpers.protobuf import field

X = node("x", "Placeholder")
CALL = node("y", "PartitionedCall", "x", calls=["f0"])
SERVE = outputs("serving_default", "y:0")


def test_a_function_that_calls_itself_is_a_bomb() -> None:
    """TensorFlow refuses it, or overflows the stack (CVE-2022-23591)."""
    (finding,) = found(meta_graph(X, functions=[function("f", node("n", "f"))]))
    assert (finding.word, finding.where) == ("bomb", "f")


def test_functions_that_call_each_other_in_a_circle_are_a_bomb() -> None:
    """By name and by attribute, and the one that is named is in the circle."""
    functions = [
        function("a", node("n", "b")),
        function("b", node("n", "While", calls=["c"])),
        function("c", node("n", "b")),
    ]
    (finding,) = found(meta_graph(X, functions=functions))
    assert (finding.word, finding.where) == ("bomb", "b")


def test_functions_that_share_a_function_are_ordinary() -> None:
    """A diamond is no circle."""
    functions = [
        function("a", node("n", "b"), node("m", "c")),
        function("b", node("n", "d")),
        function("c", node("n", "d"), node("m", "d")),
        function("d", node("n", "NoOp")),
    ]
    assert words(meta_graph(X, functions=functions)) == []


def test_a_million_laughs_are_a_bomb() -> None:
    """Thirty functions, each of which calls the next one twice."""
    functions = [
        function(f"f{i}", node("a", f"f{i + 1}"), node("b", f"f{i + 1}")) for i in range(30)
    ]
    functions.append(function("f30", node("n", "NoOp")))
    (finding,) = found(meta_graph(X, CALL, functions=functions, signatures=[SERVE]))
    assert (finding.word, finding.where) == ("bomb", "f0")
    few = [function(f"f{i}", node("a", f"f{i + 1}"), node("b", f"f{i + 1}")) for i in range(10)]
    few.append(function("f10", node("n", "NoOp")))
    assert words(meta_graph(X, CALL, functions=few, signatures=[SERVE])) == []


def test_a_tower_of_calls_is_a_bomb() -> None:
    """A thousand levels deep, whatever the order in which they are stored."""
    functions = [function(f"f{i}", node("a", f"f{i + 1}")) for i in range(1000)]
    functions.append(function("f1000", node("n", "NoOp")))
    assert words(meta_graph(X, functions=functions)) == ["bomb"]
    assert words(meta_graph(X, functions=functions[::-1])) == ["bomb"]


@pytest.mark.parametrize(("side", "expected"), [(1024, []), (1 << 20, ["bomb"])])
def test_a_constant_far_larger_than_what_is_stored_is_a_bomb(
    side: int, expected: list[str]
) -> None:
    """One value stands for all; a few megabytes of zeros are ordinary."""
    one = constant("c", shaped(FLOAT, side, side) + field(5, b"\0\0\0\0"))
    assert words(meta_graph(X, one)) == expected


def test_a_large_constant_in_a_large_file_is_ordinary() -> None:
    """What is stored is there; the bound grows with the file."""
    one = constant("c", shaped(FLOAT, 1 << 15, 1 << 16) + field(5, b"\0\0\0\0"))
    assert words(meta_graph(X, one)) == ["bomb"]
    assert words(meta_graph(X, one), size=2048 * MIB) == []


def test_many_constants_are_added_up() -> None:
    """Each below the bound, all together far beyond."""
    many = [constant(f"c{i}", shaped(FLOAT, 1 << 28) + field(5, b"\0\0\0\0")) for i in range(9)]
    assert words(meta_graph(X, *many[:3])) == []
    assert words(meta_graph(X, *many)) == ["bomb"]


@pytest.mark.parametrize("op", ["Fill", "RandomUniform"])
def test_what_asks_for_a_huge_shape_is_a_bomb_where_it_is_run(op: str) -> None:
    """A variable's initializer of TensorFlow 1 is not run: its tensor comes from the checkpoint."""
    nodes = (numbers("dims", 1 << 20, 1 << 20), node("y", op, "dims", "x"))
    assert words(meta_graph(X, *nodes, signatures=[SERVE])) == ["bomb"]
    assert words(meta_graph(X, *nodes)) == []
    small = (numbers("dims", 1024, 1024), node("y", op, "dims", "x"))
    assert words(meta_graph(X, *small, signatures=[SERVE])) == []


def test_a_tile_of_billions_is_a_bomb() -> None:
    """How often is enough, whatever it is of; also inside a function."""
    nodes = (numbers("times", 1 << 30, 1 << 10), node("t", "Tile", "x", "times:output:0"))
    f = function("f0", *nodes, arguments=["x"])
    assert words(meta_graph(X, CALL, functions=[f], signatures=[SERVE])) == ["bomb"]


def test_a_shape_of_impossible_size_has_a_short_message() -> None:
    """The sentence stays a sentence."""
    one = constant("c", shaped(FLOAT, *[(1 << 62)] * 100_000) + field(5, b"\0\0\0\0"))
    (finding,) = found(meta_graph(X, one))
    assert "needs more than 2^60 bytes" in finding.message
