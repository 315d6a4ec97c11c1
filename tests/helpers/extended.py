"""A copy of the package with one more row in a table, as a contributor would add it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import checkpointd
from tests.helpers.cli import environment


class Extended:
    """The copy, and programs that run with it in the package's place.

    Args:
        directory: where the copy is made.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "extended"
        source = Path(checkpointd.__file__).parent
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, self.path / "checkpointd", ignore=ignored)

    def write(self, module: str, text: str) -> None:
        """Add a module, by its path below the package."""
        (self.path / "checkpointd" / module).write_text(text, encoding="utf-8")

    def insert(self, module: str, before: str, row: str) -> None:
        """Insert a row before the first line that begins with `before`."""
        path = self.path / "checkpointd" / module
        text = path.read_text(encoding="utf-8")
        assert text.count(f"\n{before}") == 1, f"{before!r} is not in {module} once"
        path.write_text(text.replace(f"\n{before}", f"\n{row}{before}"), encoding="utf-8")

    def run(self, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
        """Run Python with the copy in the package's place."""
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env=environment(home, PYTHONPATH=str(self.path)),
            cwd=home,
            timeout=110,
            check=False,
        )
