"""Bounded memory, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_memory_stays_bounded_whatever_the_size_of_the_file(tmp_path: Path) -> None:
    """Reading half a gigabyte takes less than 64 MiB beyond what the imports take."""
    program = """
import resource, sys
from checkpointd.core.format_specs import Format
from checkpointd.formats import generation_of
from checkpointd.tensors import reading, hdf5
import h5py, numpy
path = sys.argv[1]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kind = Format.HDF5_WEIGHTS
contents = reading.read(reading.plan(path, kind, generation_of(path, kind)))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) // 1024, sum(t.size_bytes for t in contents.tensors) >> 20)
"""
    path = tmp_path / "big.weights.h5"
    with h5py.File(path, "w") as file:
        whole = file.create_group("layers/a/vars").create_dataset("0", (96 << 20,), "f4")
        cut = file.create_group("layers/b/vars").create_dataset(
            "0", (4096, 8192), "f4", chunks=(256, 512)
        )
        block = np.ones(1 << 20, np.float32)
        for i in range(96):
            whole[i << 20 : (i + 1) << 20] = block
        for i in range(0, 4096, 128):
            cut[i : i + 128] = block.reshape(128, 8192)
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    grown, read = map(int, done.stdout.split())
    assert read == 512
    assert grown < 64
