"""What a foreign interpreter is handed can be imported there, by itself."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from checkpointd.dispatch.foreign_packages import package_copy

if TYPE_CHECKING:
    from pathlib import Path

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


def test_the_rooms_that_are_copied_need_no_other_room_of_ours(tmp_path: Path) -> None:
    """A module that one of them imports and that is left behind ends every foreign interpreter."""
    rooms = package_copy("/another/python", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, rooms],
        env={"PYTHONPATH": rooms, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, outside = done.stdout.split(" ", 1)
    assert int(count) > 40
    assert outside.strip() == "[]"
