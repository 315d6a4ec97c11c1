"""A row that a contributor adds is in the manual, without any other change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.helpers.extended import Extended

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = """    FormatSpec(
        name=new_format("toy"),
        summary="a toy for children",
        recognised_by="its colour",
        complete_when="it squeaks",
        probe="",
        plan="",
    ),
"""
LOADER = """    LoaderSpec(name="toy_box", summary="opens toys", formats=(), load=""),
"""


def test_a_new_format_and_a_new_loader_are_in_the_manual(tmp_path: Path) -> None:
    """`docs formats` makes its tables when it is called."""
    extended = Extended(tmp_path)
    extended.insert("core/format_specs.py", "]\n", FORMAT)
    extended.insert("core/loader_specs.py", "]\n", LOADER)
    done = extended.run("-m", "checkpointd", "docs", "formats", home=tmp_path)
    assert "| `toy` | a toy for children | its colour | it squeaks |" in done.stdout, done.stderr
    assert "| `toy_box` | opens toys |" in done.stdout
