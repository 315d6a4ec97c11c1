"""Names of a package that are imported on first use."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

LAZY = (
    "checkpointd.buckets",
    "checkpointd.config",
    "checkpointd.formats",
    "checkpointd.ledger",
    "checkpointd.retention",
)


@pytest.mark.parametrize("package", LAZY)
def test_every_exported_name_is_found(package: str) -> None:
    """In whichever order they are asked for, and after all modules have been imported."""
    module = import_module(package)
    names = list(module.__all__)
    code = f"import {package} as p\nfor n in {names[::-1]!r}: assert callable(getattr(p, n)) or n"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    for name in names:
        found = getattr(module, name)
        assert type(found).__name__ != "module", f"{package}.{name} is also the name of a module"


def test_another_name_is_an_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        import_module("checkpointd.retention").nothing  # noqa: B018 - it is looked up
