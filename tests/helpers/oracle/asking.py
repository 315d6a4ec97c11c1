"""Answers of the real loaders: those that were written down, as long as they are of these versions.

An answer belongs to the versions of TensorFlow, Keras and tf-keras that gave it. When these are
others than the installed ones, or an artifact is new, the loaders are asked again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

from tests.helpers.cli import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FROZEN = ROOT / "tests" / "wild" / "answers.json"
_SECONDS = 1500


def answers(root: Path, names: Sequence[str], home: Path) -> dict[str, dict[str, Any]]:
    """Say how far each loader comes with each artifact.

    Args:
        root: where the artifacts lie.
        names: their paths below it.
        home: a directory for the process that asks.
    """
    frozen = json.loads(FROZEN.read_text()) if FROZEN.exists() else {"versions": {}, "answers": {}}
    installed = {name: metadata.version(name.replace("_", "-")) for name in frozen["versions"]}
    known = frozen["answers"] if frozen["versions"] and installed == frozen["versions"] else {}
    missing = [name for name in names if name not in known]
    asked = ask(root, missing, home)["answers"] if missing else {}
    return {name: known.get(name) or asked[name] for name in names}


def ask(root: Path, names: Sequence[str], home: Path) -> dict[str, Any]:
    """Ask the loaders now, and give their versions and answers."""
    out = home / "answers.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.oracle", str(out)],
        input="\n".join(f"{root}/{name}" for name in names),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(home, TF_CPP_MIN_LOG_LEVEL="3", TF_USE_LEGACY_KERAS=""),
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(out.read_text())
    told["answers"] = {name: told["answers"][f"{root}/{name}"] for name in names}
    return dict(told)


def freeze(root: Path, names: Sequence[str], home: Path) -> None:
    """Write the answers down anew."""
    told = ask(root, names, home)
    FROZEN.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
