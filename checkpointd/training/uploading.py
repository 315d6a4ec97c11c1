"""Saves to `gs://` URLs: what was saved on the local disk is uploaded, in the writer's order.

TensorFlow's own file system writes each object as a whole. `s3://` it has not known since 2.6.
"""

from __future__ import annotations

import os
import re
from typing import Any

from checkpointd.core.format_specs import Format, spec_of
from checkpointd.core.urls import is_url, parse_url

_STATE_FILE = "checkpoint"


def check(url: str, format: Format) -> None:
    """Check that a format can be saved to a URL.

    Raises:
        ValueError: it cannot; the sentence says what to do instead.
    """
    if "://" not in url:
        return
    local = "save to a local directory, and copy it with your store's own tool"
    if not is_url(url) or parse_url(url).scheme != "gs":
        raise ValueError(f"{url!r}: TensorFlow writes gs:// URLs alone: {local}.")
    if not parse_url(url).key:
        raise ValueError(f"{url!r} is a bucket: name what to save in it.")
    if format is Format.HDF5:
        raise ValueError(
            f"{url!r}: Keras reports that it has saved an .h5 file to a URL, and uploads nothing: "
            "save as .keras or .weights.h5, or to a local directory."
        )


def upload(directory: str, url: str, format: Format) -> None:
    """Upload what was saved into a directory, under the name of the URL.

    Args:
        directory: holds the checkpoint under the last part of the URL, and what is beside it.
        url: of the checkpoint.
        format: the checkpoint's.

    Raises:
        FileExistsError: a directory would replace a directory of other things.
        ImportError: there is no TensorFlow.
        tensorflow.errors.OpError: the store cannot be written.
    """
    import tensorflow as tf

    files: Any = tf.io.gfile
    name = os.path.basename(url)
    target = os.path.dirname(url)
    if os.path.isdir(os.path.join(directory, name)):
        _check_replaceable(files, url, os.listdir(os.path.join(directory, name)))
    names = [
        os.path.relpath(os.path.join(top, file), directory)
        for top, _, below in os.walk(directory)
        for file in below
    ]
    for file in sorted(names, key=lambda file: (_rank(file, name, format), file)):
        files.copy(os.path.join(directory, file), f"{target}/{file}", overwrite=True)


def _check_replaceable(files: Any, url: str, saved: list[str]) -> None:
    """Raise FileExistsError where a directory of the user's would be mixed with a checkpoint."""
    there = files.listdir(url) if files.isdir(url) else []
    if there and not {entry.rstrip("/") for entry in there} & set(saved):
        raise FileExistsError(f"{url!r} is a directory of other things: name another.")


def _rank(file: str, name: str, format: Format) -> int:
    """When a file is written: golden records first, then as the format's own writer does."""
    spec = spec_of(format)
    order = spec.write_order if spec is not None else ()
    if file in (name, _STATE_FILE):
        return len(order) + 1
    member = file[len(name) :] if file.startswith(name) else ""
    ranks = [i for i, pattern in enumerate(order) if re.fullmatch(pattern, member)]
    return ranks[0] + 1 if ranks else 0
