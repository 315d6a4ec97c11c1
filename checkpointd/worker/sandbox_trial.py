"""Tries the sandbox before there is a checkpoint, in a child that ends at once. Python 3.9.

`python -m checkpointd.worker.sandbox_trial DIRECTORY` prints the state as JSON, or null.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING

from checkpointd.core.encode import to_json
from checkpointd.worker import access_rules, protocol, sandbox
from checkpointd.worker.landlock import WRITE

if TYPE_CHECKING:
    from checkpointd.worker.protocol import SandboxState


def try_sandbox(directory: str) -> SandboxState | None:
    """Enter the sandbox in a child that has no checkpoint, and return its state.

    Args:
        directory: where a scratch directory can be made for it.

    Returns:
        The state; None where that could not be tried, for example on a full disk.
    """
    try:
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            sentinel = scratch + protocol.SENTINEL
            with open(sentinel, "wb"):
                pass
            try:
                answer = _state_of_child(scratch, sentinel)
            finally:
                os.unlink(sentinel)
    except OSError:  # each child enters its own sandbox in any case
        return None
    return protocol.decode_sandbox_state(answer) if answer else None


def _state_of_child(scratch: str, sentinel: str) -> bytes:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            rules = (*access_rules.interpreter_rules(), (scratch, WRITE))
            state = sandbox.enter_child(access_rules.AccessRules(rules), sentinel)
            os.write(write, json.dumps(to_json(state)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer


if __name__ == "__main__":
    sys.stdout.write(json.dumps(to_json(try_sandbox(sys.argv[1]))))
