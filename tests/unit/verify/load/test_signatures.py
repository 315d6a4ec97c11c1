"""Signatures that changed within a series."""

from __future__ import annotations

from checkpointd.verify.load import signatures


def test_changed_signatures_are_described() -> None:
    """What is gone, new or different is named; equal signatures have no difference."""
    before = {"serve": {"inputs": [["x", "float32", [None, 3]]], "outputs": []}}
    now = {"serve": {"inputs": [["x", "float32", [None, 4]]], "outputs": [["y", "int64", []]]}}
    assert signatures.differences(before, before) == []
    assert signatures.differences(before, now) == [
        "serve's input 'x' was float32 [None, 3] and is float32 [None, 4]",
        "serve's output 'y' is new",
    ]
    assert signatures.differences(before, {}) == ["the signature 'serve' is gone"]
