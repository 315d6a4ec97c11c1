"""What `evaluate` runs and reads has an identity that changes when its file is edited in place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.evaluator import content_of
from checkpointd.core.verify_settings import Evaluation

if TYPE_CHECKING:
    from pathlib import Path


def test_an_edited_module_is_another_evaluator_and_a_touched_one_is_not(tmp_path: Path) -> None:
    """Its bytes count, so a checkout that writes the same again changes nothing."""
    module, asked = tmp_path / "quality.py", Evaluation("quality:accuracy")
    module.write_text("def accuracy(model):\n    return {'accuracy': 0.5}\n")
    before = content_of(asked, [str(tmp_path)])
    os.utime(module, (1, 1))
    assert content_of(asked, [str(tmp_path)]) == before
    module.write_text("def accuracy(model):\n    return {'accuracy': 0.6}\n")
    after = content_of(asked, [str(tmp_path)])
    assert after != before
    digests = {Evaluation("quality:accuracy", content=text).digest for text in ("", before, after)}
    assert len(digests) == 3


def test_the_module_is_found_as_python_finds_it(tmp_path: Path) -> None:
    """A package before a module, the first directory before the second; or not at all."""
    first, second = tmp_path / "a", tmp_path / "b"
    for path in (first / "lib.py", second / "lib" / "quality.py", second / "lib" / "__init__.py"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {path}")
    both = [str(first), str(second)]
    assert content_of(Evaluation("lib:f"), both) == content_of(Evaluation("lib:f"), both[:1])
    assert content_of(Evaluation("lib.quality:f"), both) not in ("", content_of(Evaluation(), both))
    (first / "lib").mkdir()
    (first / "lib" / "__init__.py").write_text("# a package")
    assert content_of(Evaluation("lib:f"), both) != content_of(Evaluation("lib:f"), both[1:])
    assert content_of(Evaluation("installed.elsewhere:f"), both) == ""
    assert content_of(Evaluation(), both) == ""


def test_held_out_data_are_known_by_size_and_time(tmp_path: Path) -> None:
    """They may be large, so they are not read."""
    data = tmp_path / "x.npz"
    with pytest.raises(FileNotFoundError):
        content_of(Evaluation(data=str(data)), [])
    data.write_bytes(b"abc")
    before = content_of(Evaluation(data=str(data)), [])
    os.utime(data, (1, 1))
    assert content_of(Evaluation(data=str(data)), []) not in ("", before)
