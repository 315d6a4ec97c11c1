"""What ships: the pages of the manual, the example config, and the types."""

from __future__ import annotations

import subprocess
import tomllib

from tests.helpers.cli import ROOT


def test_nothing_of_the_package_is_left_out_of_the_wheel() -> None:
    """Hatch packs all files of the package, save those that git ignores or that it is told to."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    assert build["build"]["targets"]["wheel"] == {
        "packages": ["checkpointd"],
        "force-include": {"systemd": "checkpointd/systemd/files"},
    }
    shipped = [ROOT / "checkpointd" / "py.typed", *(ROOT / "checkpointd" / "config").glob("*.toml")]
    shipped += (ROOT / "checkpointd" / "docs").glob("*.md")
    assert all(path.is_file() for path in shipped)
    ignored = subprocess.run(
        ["git", "check-ignore", *map(str, shipped)], cwd=ROOT, capture_output=True, check=False
    )
    assert ignored.returncode != 0, ignored.stdout
