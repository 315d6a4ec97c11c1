"""The rules about an index, held against TensorFlow: what it does not survive is refused before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.helpers.bundles import table
from tests.helpers.cli import ROOT
from tests.helpers.indexes import HEADER, HOSTILE, ORDINARY

if TYPE_CHECKING:
    from pathlib import Path

OPEN_EACH = """
import json, os, resource, sys
import tensorflow as tf
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
exit_codes = {}
for name in sys.argv[2:]:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            reader = tf.train.load_checkpoint(os.path.join(sys.argv[1], name))
            reader.get_tensor("layer/kernel")
        except Exception as error:
            os._exit(2 if "hecksum" in str(error) or "Key" in str(error) else 1)
        os._exit(0)
    exit_codes[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(exit_codes))
"""
"""0: read; 1: refused; 2: not the bytes that were written, or parts missing; -6: SIGABRT."""


def test_what_tensorflow_does_not_survive_is_refused_before(tmp_path: Path) -> None:
    """Each hostile entry ends its process or raises; an ordinary one fails on its bytes alone."""
    cases = {f"bad-{i}": value for i, (value, _) in enumerate(HOSTILE)}
    cases |= {f"good-{i}": value for i, value in enumerate(ORDINARY)}
    for name, value in cases.items():
        (tmp_path / f"{name}.index").write_bytes(table([(b"", HEADER), (b"layer/kernel", value)]))
        (tmp_path / f"{name}.data-00000-of-00001").write_bytes(b"\0" * 16)
    done = subprocess.run(
        [sys.executable, "-c", OPEN_EACH, str(tmp_path), *cases],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
        timeout=100,
    )
    exit_codes = json.loads(done.stdout)
    assert sorted(name for name, code in exit_codes.items() if name[0] == "b" and code == 0) == []
    assert list(exit_codes.values()).count(-6) >= 10
    assert sorted(n for n, code in exit_codes.items() if n[0] == "g" and code not in (0, 2)) == []
