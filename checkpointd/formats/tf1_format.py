"""TensorFlow 1's first format of checkpoints (V1): a table of tensors in one file, or in shards.

Source: tensorflow/core/util/tensor_slice_writer.cc. `tf.compat.v1.train.Saver` wrote it until
1.0, as `model.ckpt-7` or `model.ckpt-7-00000-of-00001`. It is named here, and not read.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from checkpointd.formats.table import FOOTER_BYTES, MAGIC

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Generation
    from checkpointd.formats.storage import Storage

MESSAGE = (
    "A checkpoint in TensorFlow 1's first format (V1), which checkpointd does not read; "
    "tf.train.load_checkpoint and tf.compat.v1.train.Saver do. To have it verified, restore it "
    "with tf.compat.v1.train.Saver and save it again with write_version=2."
)

_NAME = re.compile(r"(?s).*(?:ckpt.*|-\d+(?:-of-\d{5})?)")
"""LevelDB's tables have the same end, and other names."""


def is_one(path: str, size: int, storage: Storage) -> bool:
    """Whether a file is such a checkpoint, or a shard of one.

    Raises:
        OSError: it cannot be read.
    """
    if size < FOOTER_BYTES or not _NAME.fullmatch(os.path.basename(path)):
        return False
    return storage.pread(path, size - len(MAGIC), len(MAGIC)) == MAGIC


def is_alone(generation: Generation) -> bool:
    """Whether a checkpoint of TensorFlow's is one file without an extension: of this format."""
    return [member.name for member in generation.members] == [""]
