"""What a child gives up irrevocably, tested in a separate process."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

_PROGRAM = """
import json, resource
from checkpointd.worker import limits
from checkpointd.worker.protocol import ChildLimits

def capabilities():
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    return [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh")]

before = capabilities()
limits.apply_limits(ChildLimits(data_bytes=1 << 30, file_bytes=1 << 20, cpu_seconds=7))
kinds = (resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_STACK, resource.RLIMIT_CORE)
print(json.dumps([before, capabilities(), [resource.getrlimit(kind) for kind in kinds]]))
"""
_READING = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


def test_a_child_has_its_limits_and_only_roots_privileges_to_read() -> None:
    """Who may raise a limit is not limited by it; no other limit counts stacks."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], check=True, capture_output=True, timeout=60
    )
    before, after, limits = json.loads(done.stdout)
    assert after == [mask & _READING for mask in before]
    data, size, stack, core = limits
    assert (data, size, core) == ([1 << 30] * 2, [1 << 20] * 2, [0, 0])
    assert stack[0] == stack[1] != resource.RLIM_INFINITY
    assert stack[0] <= 64 << 20
