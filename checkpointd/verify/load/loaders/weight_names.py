"""Weights under names that only some releases of Keras 2 find again.

Such a file is whole: what wrote it loads it. No Keras that is maintained does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, failed
from checkpointd.core.format_specs import Format
from checkpointd.verify.keras_files.origin import weight_groups

if TYPE_CHECKING:
    from checkpointd.verify.load.loaders.attempt import LoadSource

_BY_ATTRIBUTE = "_layer_checkpoint_dependencies"
"""The attribute by which Keras 2.12 to 2.14 went through layers; later ones go through `layers`."""

_NOT_FOUND = re.compile(
    r"expected \d+ variables?, but received 0 variables"
    r"|expected str, bytes or os.PathLike object, not NoneType"
)
"""What is raised where the weights of a layer, or its assets, are not where they are looked for."""


def explain(source: LoadSource, error: Exception) -> CheckResult | None:
    """Explain which Keras finds the weights, where it is no Keras that is here; else None."""
    if source.format not in (Format.KERAS, Format.HDF5_WEIGHTS):
        return None
    groups = weight_groups(source.path)
    on_windows = next((name for name in groups if "\\" in name), "")
    if on_windows:
        message = (
            f"It was saved on Windows, and its weights have names such as '{on_windows}', which "
            "Keras finds on Windows alone: load it there, and save it as .h5 or with a newer Keras."
        )
    elif _BY_ATTRIBUTE in groups and _NOT_FOUND.search(str(error)):
        message = (
            "Keras 2.12 to 2.14 wrote it, and its weights have names that no other finds: load it "
            "with TensorFlow 2.12 to 2.14 (python in [watch.verify]), and save it there as .h5."
        )
    else:
        return None
    return failed("load", "environment", message, written_by=source.origin.version)
