"""Damages real checkpoints of the demo in the ways in which checkpoints get damaged.

Runs in the training job's process family (`python -m checkpointd.demo.spoil SOURCE TARGET`),
because making a NaN model takes Keras.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from checkpointd.core.format_specs import Format
from checkpointd.golden import path_for  # the record is copied with its checkpoint


def truncated(source: Path, target: Path) -> None:
    """Copy a file and lose its last third, as a full disk does."""
    data = source.read_bytes()
    target.write_bytes(data[: len(data) * 2 // 3])


def bit_flipped(source: Path, target: Path, offset: int) -> None:
    """Copy a file, golden record too, and flip one bit, as bad memory does."""
    data = bytearray(source.read_bytes())
    data[offset] ^= 0x10
    record = Path(path_for(str(source), Format.HDF5))
    shutil.copy(record, path_for(str(target), Format.HDF5))
    target.write_bytes(data)


def weight_offset(source: Path) -> int:
    """Find a byte in the middle of the largest weight of an `.h5`."""
    import h5py

    largest: list[tuple[int, int]] = []

    def visit(_name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
            largest.append((item.id.get_storage_size(), item.id.get_offset()))

    with h5py.File(source, "r", locking=False) as file:
        file["model_weights"].visititems(visit)
    size, start = max(largest)
    return start + size // 2 + 2


def half_written(source: Path, target: Path) -> None:
    """Copy a SavedModel's variables and stop before its graph, as a killed job does."""
    target.mkdir()
    shutil.copytree(source / "variables", target / "variables")


def not_a_number(target: Path) -> None:
    """Train with a learning rate that destroys the weights, and save what is left."""
    import keras

    from checkpointd.demo.train import make_data, make_model

    inputs, labels = make_data(256)
    model = make_model()
    model.compile(optimizer=keras.optimizers.SGD(1e30), loss="sparse_categorical_crossentropy")
    model.fit(inputs, labels, epochs=3, verbose=0)
    model.save(target)


def main(source: Path, target: Path) -> None:
    """Write damaged copies of what is in `source` into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    truncated(source / "classifier" / "final.h5", target / "truncated.h5")
    final = source / "classifier" / "final.h5"
    bit_flipped(final, target / "bit_flipped.h5", weight_offset(final))
    half_written(source / "export" / "1", target / "half_written")
    not_a_number(target / "nan_weights.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
