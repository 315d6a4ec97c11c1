"""A damaged file on which libhdf5 loops forever."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np

from checkpointd.core.encode import to_json
from tests.helpers.scan import request_for

if TYPE_CHECKING:
    from pathlib import Path

SCAN = """
import json
import sys

from checkpointd.core import decode
from checkpointd.tensors import hdf5
from checkpointd.verify.scan.scan_stage import scan

hdf5.guarded.__defaults__ = (0.2,)
scan(decode.request(json.loads(sys.stdin.read())), lambda _: None)
"""


def loop_forever(path: Path) -> None:
    """A model whose heap of attribute values has lost a sector: its objects have no size now."""
    with h5py.File(path, "w") as file:
        for number in range(20):
            file.attrs[f"attribute_{number}"] = "some text of variable length " * 3
        file.attrs["model_config"] = '{"class_name": "Sequential", "config": {}}'
        file.attrs["keras_version"] = "3.15.1"
        file.create_dataset("model_weights/dense/kernel", data=np.ones(16, np.float32))
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 1024 : heap + 1536] = bytes(512)
    path.write_bytes(data)


def test_a_signal_ends_the_process_that_reads_it(tmp_path: Path) -> None:
    """Only a signal does; the dispatcher knows it, and calls the file damaged."""
    loop_forever(tmp_path / "m.h5")
    done = subprocess.run(
        [sys.executable, "-c", SCAN],
        input=json.dumps(to_json(request_for(tmp_path / "m.h5"))),
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGVTALRM
