"""Only the load stage imports TensorFlow: everything else is imported where there is none."""

from __future__ import annotations

import subprocess
import sys

IMPORT_EACH_MODULE = """
import importlib
import pkgutil
import sys

BLOCKED = {"tensorflow", "keras", "tf_keras"}


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is imported")
        return None


sys.meta_path.insert(0, Blocker())
for package in map(importlib.import_module, sys.argv[1:]):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.startswith("checkpointd.verify.load"):
            importlib.import_module(module.name)
assert not BLOCKED & set(sys.modules)
"""

PACKAGES = ("cli", "core", "daemon", "formats", "golden", "tensors", "verify", "worker")


def test_each_module_is_imported_where_there_is_no_tensorflow() -> None:
    """No import, made directly or through another module, reaches TensorFlow or Keras."""
    packages = [f"checkpointd.{name}" for name in PACKAGES]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH_MODULE, *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_command_line_and_the_daemon_import_no_tensorflow_numpy_or_h5py() -> None:
    """The daemon stays small because only its children import these."""
    code = (
        "import sys, checkpointd.cli.main, checkpointd.daemon.main, checkpointd.dispatch.local; "
        "print({'tensorflow', 'numpy', 'h5py', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
