"""What is expensive to make and is only read: made by one of the test processes for all of them."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Give a directory that `make` has filled, in this process or in another one of the run.

    Where `make` fails, the next process that asks tries again.
    """
    base = factory.getbasetemp()
    top = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home, whole = top / name, top / f"{name}.made"
    with (top / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            home.mkdir(exist_ok=True)
            make(home)
            whole.touch()
    return home
