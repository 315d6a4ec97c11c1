"""The line of every key of a TOML file."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.config.dump import _text
from checkpointd.config.lines import line_of, lines

TRICKY = '''# [watch] in a comment
title = "a # b"  # a comment
[daemon]
"state dir" = 'x = [1'
long = """
[[watch]]
name = "not a key"
"""
[[watch]]
name = "a"
include = [  # ] not the end
  "[x]",
  "y", ]
[watch.verify]
atol = 1e-6
custom_objects = { A = "m:A", B = "m:B" }
[[watch]]
verify.rtol = 1
  name = "b"
[watch.retention]
keep_last = 3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("daemon",), 3),
        (("daemon", "state dir"), 4),
        (("daemon", "long"), 5),
        (("watch", 0), 9),
        (("watch", 0, "name"), 10),
        (("watch", 0, "include"), 11),
        (("watch", 0, "include", 1), 11),
        (("watch", 0, "verify"), 14),
        (("watch", 0, "verify", "atol"), 15),
        (("watch", 0, "verify", "custom_objects", "B"), 16),
        (("watch", 1), 17),
        (("watch", 1, "verify", "rtol"), 18),
        (("watch", 1, "name"), 19),
        (("watch", 1, "retention", "keep_last"), 21),
        (("watch", 1, "path"), 17),
        (("web", "listen"), 0),
    ],
)
def test_each_key_stands_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    """Neither strings nor comments nor long values mislead; a missing key gives its table."""
    tomllib.loads(TRICKY)
    assert line_of(path, lines(TRICKY)) == line


values = st.one_of(st.integers(0, 99), st.booleans(), st.text(max_size=8), st.lists(st.text()))
tables = st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=5)


@given(st.lists(tables, max_size=4))
def test_whatever_is_written_every_key_is_found(watches: list[dict[str, Any]]) -> None:
    """Each key that tomllib finds is found on the line on which it was written."""
    written: list[str] = []
    expected: dict[tuple[str | int, ...], int] = {}
    for i, table in enumerate(watches):
        written.append("[[watch]]")
        expected["watch", i] = len(written)
        for key, value in table.items():
            shown = _text(value) if isinstance(value, str) else value
            if isinstance(value, list):
                shown = "[" + ",".join(_text(v) for v in value) + "]"
            text = str(shown).lower() if isinstance(value, bool) else str(shown)
            written.append(f"{_text(key)} = {text}")
            expected["watch", i, key] = len(written)
    text = "\n".join(written)
    parsed = tomllib.loads(text).get("watch", [])
    assert parsed == watches
    found = lines(text)
    for path, line in expected.items():
        assert found[path] == line
