"""The environment that outputs depend on besides the model: libraries, CPU, precision."""

from __future__ import annotations

import contextlib
import platform
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def describe_environment(
    library: str, version: str, policy: str, device: Mapping[str, str]
) -> dict[str, str]:
    """Describe what outputs depend on besides the model, for a record or for its replay.

    Args:
        library: `keras`, `tf_keras` or empty.
        version: the library's version.
        policy: the model's precision policy, such as `mixed_float16`; empty for float32.
        device: what it runs on, as `backends.describe_device` describes it.
    """
    tensorflow = getattr(sys.modules.get("tensorflow"), "__version__", "")
    return {
        "tensorflow": str(tensorflow),
        "keras": f"{library} {version}".strip(),
        "python": platform.python_version(),
        "cpu": _cpu(),
        "policy": policy or "float32",
        **{key: value for key, value in device.items() if value},
    }


def _cpu() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def precision_policy(model: Any) -> str:
    """The name of the precision policy that a model computes with; `float32` when plain."""
    for layer in (model, *(getattr(model, "layers", None) or ())):
        policy = getattr(layer, "dtype_policy", None)
        name = str(getattr(policy, "name", policy) or "")
        if name and name != "float32":
            return name
    return "float32"
