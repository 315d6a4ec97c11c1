"""Lines of a child are validated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core import decode
from checkpointd.core.check_result import CheckResult, passed
from checkpointd.core.encode import to_json
from checkpointd.worker import protocol


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"[]",
        b"{}",
        b'{"check": 1}',
        b'{"check": {"name": "load", "outcome": "splendid"}}',
        b'{"end": "well"}',
        b'{"end": "done", "facts": null}',
        b'{"inspection": []}',
        b'{"check": ' + b"[" * 100_000,
    ],
)
def test_an_invalid_line_of_a_child_is_refused(line: bytes) -> None:
    """Whatever the line is, it raises a DecodeError and nothing else."""
    with pytest.raises(decode.DecodeError):
        protocol.decode_answer(line)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_value_in_a_childs_line_raises_anything_else(value: Any) -> None:
    """Each field of a check's result is checked."""
    good = to_json(passed("load"))
    for key in good:
        line = json.dumps({"check": {**good, key: value}}).encode()
        try:
            answer = protocol.decode_answer(line)
        except decode.DecodeError:
            continue
        assert isinstance(answer, CheckResult)
