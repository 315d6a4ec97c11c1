"""Keras configurations: code in them, and what they name outside of Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.verify import keras_config, origin
from checkpointd.verify.safety.findings import NEEDS_CODE, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.verify.structure import ScanContext


def findings(context: ScanContext) -> Iterator[Finding]:
    """Look through the configuration of a `.keras` or HDF5 file, at any depth."""
    config = keras_config.read(context.request.checkpoint.path, context.facts.format)
    layer = origin.carries_code((config.model, config.compile))
    if layer:
        yield Finding(
            NEEDS_CODE,
            f"Loading it would run Python code stored in it ({layer}): set allow_code = true in "
            "[watch.verify] if you trust its writer.",
            where=layer,
            what="Lambda",
        )
