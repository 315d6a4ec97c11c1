"""Which paths the globs of a watch select."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from checkpointd.watch.globs import select


@pytest.mark.parametrize(
    ("pattern", "path", "taken"),
    [
        ("**", "a/b/c.h5", True),
        ("**/*.h5", "c.h5", True),
        ("**/*.h5", "a/b/c.h5", True),
        ("*.h5", "c.h5", True),
        ("*.h5", "a/c.h5", False),
        ("a/**", "a/b/c", True),
        ("a/**", "b/c", False),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/x/y/c", True),
        ("run?/[ab]*", "run1/best", True),
        ("run?/[!ab]*", "run1/best", False),
        ("run?", "run/", False),
        ("a.b", "axb", False),
        ("**/*", "new\nline", True),
    ],
)
def test_a_pattern_is_matched_against_the_whole_path(pattern: str, path: str, taken: bool) -> None:
    """`*` stays within a name, `**` goes over any number of them, as `full_match` does."""
    assert select((pattern,)).takes(path) is taken
    if hasattr(PurePosixPath, "full_match"):
        assert PurePosixPath(path).full_match(pattern) is taken


def test_an_excluded_directory_takes_all_below_it() -> None:
    """`exclude = ["old"]` is about everything in `old/`, which is not even walked."""
    selection = select(exclude=("old",))
    assert not selection.enters("old")
    assert not selection.takes("old/a/m.h5")
    assert selection.takes("older/m.h5")
