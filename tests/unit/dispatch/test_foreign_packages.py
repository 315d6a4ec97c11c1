"""The list of packages that run in foreign interpreters: it is complete, and the tools agree."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from checkpointd.dispatch import foreign_packages
from checkpointd.dispatch.foreign_packages import package_copy

ROOT = Path(__file__).parents[3]

_IMPORT_ALL = """
import importlib, pkgutil, sys
import checkpointd
names = [m.name for m in pkgutil.walk_packages(checkpointd.__path__, "checkpointd.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
outside = [n for n, m in sys.modules.items() if n.split(".")[0] == "checkpointd"
           and not m.__file__.startswith(sys.argv[1])]
print(len(names), outside)
"""


def _pyproject() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_copied_packages_import_no_other_package_of_checkpointd(tmp_path: Path) -> None:
    """A module that one of them imports and that is not copied would end every such zygote."""
    copied = package_copy("/another/python", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, copied],
        env={"PYTHONPATH": copied, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, outside = done.stdout.split(" ", 1)
    assert int(count) > 40
    assert outside.strip() == "[]"


def test_ruff_checks_the_listed_packages_for_the_oldest_python() -> None:
    """Syntax that is too new for a training job's interpreter is found before it runs there."""
    listed = (
        *foreign_packages.VERIFICATION,
        *foreign_packages.TRAINING,
        *foreign_packages.COMMAND,
    )
    major, minor = foreign_packages.OLDEST_PYTHON
    expected = {
        f"checkpointd/{name}" if name.endswith(".py") else f"checkpointd/{name}/**.py"
        for name in listed
    }
    targets = _pyproject()["tool"]["ruff"]["per-file-target-version"]
    assert targets == dict.fromkeys(expected, f"py{major}{minor}")
    assert _pyproject()["project"]["requires-python"] == f">={major}.{minor}"


def test_import_linter_keeps_the_daemons_libraries_out_of_the_listed_packages() -> None:
    """One contract names exactly these packages as its sources."""
    listed = (*foreign_packages.VERIFICATION, *foreign_packages.TRAINING)
    expected = {
        f"checkpointd.{name.removesuffix('.py')}" for name in listed if name != "__init__.py"
    }
    contracts = _pyproject()["tool"]["importlinter"]["contracts"]
    sources = [
        set(contract["source_modules"])
        for contract in contracts
        if "pydantic" in contract.get("forbidden_modules", ())
    ]
    assert sources == [expected]
