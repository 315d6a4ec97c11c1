"""A checkpoint on overlayfs, where a file has another device than its directory."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.helpers.mounts import without

if TYPE_CHECKING:
    from pathlib import Path

_SETUP = """
mount -t tmpfs tmpfs upper || exit 77
mkdir upper/files upper/work
mount -t overlay overlay -o lowerdir=lower,upperdir=upper/files,workdir=upper/work merged || exit 77
cp -r merged/model merged/copy
"$0" -c "$1" compare merged/model
"$0" -c "$1" compare merged/copy
mount --bind merged/copy/saved_model.pb merged/model/saved_model.pb
"$0" -c "$1" compare merged/model
"""
_COMPARE = """
import os, sys
from checkpointd.formats import locate
from checkpointd.retention.trees import DIRECTORY, NotUnchangedError, compare_tree
path = os.path.abspath(sys.argv[2])
try:
    compare_tree(os.open(path, DIRECTORY), "model", locate(path).generation, alone=True)
    print("the same")
except NotUnchangedError as error:
    print(error)
"""


def test_a_file_of_a_lower_layer_is_unchanged_and_one_mounted_over_is_not(tmp_path: Path) -> None:
    """By the id of the mount: a SavedModel there is not verified again, and can be pruned."""
    from tests.helpers.formats import savedmodel

    if os.geteuid():
        without("only root can mount an overlay")
    for name in ("lower", "upper", "merged"):
        (tmp_path / name).mkdir()
    savedmodel(tmp_path / "lower" / "model")
    command = ["unshare", "-m", "bash", "-c", _SETUP, sys.executable, _COMPARE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip(f"no overlay can be mounted here: {done.stderr}")
    assert done.stdout.splitlines() == [
        "the same",
        "the same",
        "something is mounted on '/saved_model.pb'",
    ], done.stderr
