"""What a training job imports: saves that are atomic and leave a golden record beside them.

Needs numpy and Keras alone, Python 3.9 or later, and nothing of the daemon. Works for Keras 3 on
TensorFlow, JAX and torch, and for tf-keras: what is imported is the library that the model comes
from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.training.saving import save

if TYPE_CHECKING:
    from checkpointd.training.callback import GoldenCheckpoint

__all__ = ["GoldenCheckpoint", "save"]


def __getattr__(name: str) -> Any:
    if name == "GoldenCheckpoint":  # its base class is Keras's: imported when it is asked for
        from checkpointd.training.callback import GoldenCheckpoint

        return GoldenCheckpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
