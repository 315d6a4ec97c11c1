"""A path that a variable keeps: whose it is depends on everything that is ever put into it."""

from __future__ import annotations

import itertools

import pytest

from tests.helpers.graphs import asset, meta_graph, node, outputs, saver, words

_ANONYMOUS = "cd2c89b7-88b7-44c8-ad83-06c2a9158347"
_PATH = node("asset", "Placeholder")
_RESTORE = (
    node("save/Const", "Placeholder"),
    node("r", "RestoreV2", "save/Const"),
    node("save/restore_all", "NoOp", "^back"),
)
_READ = (node("read", "ReadVariableOp", "v1"), node("y", "ReadFile", "read"))


def of(*nodes: bytes, read: tuple[bytes, ...] = _READ) -> list[str]:
    """What is found in a graph that reads the file whose path `v1` keeps."""
    return words(
        meta_graph(
            _PATH,
            *nodes,
            *_RESTORE,
            *read,
            assets=[asset("asset:0", "v.txt")],
            signatures=[outputs("serving_default", "y:0")],
            saving=saver(),
        )
    )


def handle(name: str, shared: str) -> bytes:
    """A handle of a variable."""
    return node(name, "VarHandleOp", shared_name=shared)


def test_a_variable_that_keeps_the_path_of_an_asset_is_ordinary() -> None:
    """The file lies in the checkpoint; another variable may hold what it likes."""
    nodes = (
        node("put", "AssignVariableOp", "v1", "asset"),
        node("back", "AssignVariableOp", "v2", "r"),
    )
    for first, second in (("a", "b"), (_ANONYMOUS, _ANONYMOUS)):
        assert of(handle("v1", first), handle("v2", second), *nodes) == []


@pytest.mark.parametrize("shared", ["a", ""])
def test_two_handles_of_one_name_are_one_variable(shared: str) -> None:
    """The path in the asset's variable is what the checkpoint has put in by the other handle."""
    put = node("put", "AssignVariableOp", "v1", "asset")
    back = node("back", "AssignVariableOp", "v2", "r")
    assert of(handle("v1", shared), handle("v2", shared), put, back) == ["unsafe_op"]


def test_a_handle_under_another_name_is_the_same_variable() -> None:
    """It is passed on before it is assigned, as often as one likes."""
    names = ["v1", *(f"i{n}" for n in range(500)), "j"]
    alias = [node(name, "Identity", before) for before, name in itertools.pairwise(names)]
    put = node("put", "AssignVariableOp", "v1", "asset")
    back = node("back", "AssignVariableOp", "j", "r")
    assert of(handle("v1", "a"), *alias, put, back) == ["unsafe_op"]


def test_a_handle_that_is_given_away_may_hold_anything() -> None:
    """A function assigns what nobody sees here."""
    put = node("put", "AssignVariableOp", "v1", "asset")
    alias = node("i", "Identity", "v1")
    for given in ("v1", "i"):
        back = node("back", "PartitionedCall", given, "r")
        assert of(handle("v1", "a"), put, alias, back) == ["unsafe_op"]


def test_a_variable_of_tensorflow_1_is_what_its_assignments_give_and_what_refers_to_it() -> None:
    """`Assign` gives the variable itself, and so do the switches of references."""
    variable, put = node("v1", "VariableV2"), node("put", "Assign", "v1", "asset")
    read = (node("read", "Identity", "v1"), node("y", "ReadFile", "read"))

    def of_reference(*nodes: bytes) -> list[str]:
        return of(variable, put, *nodes, read=read)

    assert of_reference(node("back", "NoOp")) == []
    assert of_reference(node("back", "Assign", "put", "r")) == ["unsafe_op"]
    switch = node("s", "RefSwitch", "v1", "x")
    assert of_reference(switch, node("back", "Assign", "s:1", "r")) == ["unsafe_op"]


def test_handles_that_go_round_in_a_circle_are_no_variable() -> None:
    """TensorFlow runs no such graph, and nobody waits for the end of it here."""
    circle = (node("v1", "Identity", "i"), node("i", "Identity", "v1"))
    put = node("put", "AssignVariableOp", "v1", "asset")
    back = node("back", "AssignVariableOp", "i", "r")
    assert of(*circle, put, back) == ["unsafe_op"]
