"""The array libraries that Keras runs on (TensorFlow, JAX, torch), and what they run on.

Keras 3 has a choice of them, tf-keras and a plain `tf.Module` have not. numpy and the standard
library only, Python 3.9; a backend is imported only where it is in use.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

TENSORFLOW, JAX, TORCH = "tensorflow", "jax", "torch"

FLOAT32, TF32, BFLOAT16 = "float32", "tf32", "bfloat16"
"""What products of float32 values are computed in: TF32 is what NVIDIA's tensor cores make of
them since Ampere, bfloat16 what a TPU does."""

_NO_TF32 = {"float32", "highest", "tensorfloat32_x3", "tf32_tf32_f32_x3", "bf16_bf16_f32_x9"}
"""What `jax_default_matmul_precision` is where products keep the precision of float32."""

_CPU, _GPU, _TPU = "cpu", "gpu", "tpu"


def name_of(keras: Any) -> str:
    """Name the backend that a Keras library runs on; TensorFlow for what has no choice."""
    named = getattr(getattr(keras, "backend", None), "backend", None)
    return str(named()) if callable(named) else TENSORFLOW


def numpy_of(value: Any) -> np.ndarray[Any, Any]:
    """Return the values of a tensor or variable of any backend and device.

    What shares its memory with the variable may change with it: copy it to keep it.

    Raises:
        Exception: it is no array.
    """
    if _root(value) == "keras" and hasattr(value, "value") and hasattr(value, "assign"):
        value = value.value
    if _root(value) == TENSORFLOW and callable(getattr(value, "read_value", None)):
        value = value.read_value()  # whose memory numpy can share; a variable copies it
    if _root(value) == TORCH and hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which numpy knows by ml_dtypes alone
            import ml_dtypes

            return np.asarray(value.float().numpy()).astype(ml_dtypes.bfloat16)
    return np.asarray(value.numpy() if _has_numpy_alone(value) else value)


def _has_numpy_alone(value: Any) -> bool:
    return callable(getattr(value, "numpy", None)) and not hasattr(value, "__array__")


def _root(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def inference(backend: str) -> AbstractContextManager[Any]:
    """A block in which a model is run for its outputs alone: torch keeps no graph of it."""
    if backend != TORCH:
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()  # type: ignore[no-any-return]


def describe_device(backend: str) -> dict[str, str]:
    """Describe what models run on in this process.

    Returns:
        The `backend` with its version; the `device`: cpu, gpu or tpu; the `accelerator` by its
        name, empty for a CPU; and the `precision` of products of float32 values. What a library
        does not report is left out.
    """
    library = sys.modules.get(backend)
    found = {"backend": f"{backend} {getattr(library, '__version__', '')}".strip()}
    describe = {TENSORFLOW: _tensorflow, JAX: _jax, TORCH: _torch}.get(backend)
    if library is not None and describe is not None:
        with contextlib.suppress(Exception):  # another version names it otherwise
            device, accelerator, precision = describe(library)
            found |= {"device": device, "accelerator": accelerator, "precision": precision}
    return found


def _tensorflow(tf: Any) -> tuple[str, str, str]:
    if tf.config.list_logical_devices("TPU"):
        return _TPU, "", BFLOAT16
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return _CPU, "", FLOAT32
    with_tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    details = tf.config.experimental.get_device_details(devices[0])
    modern = (details.get("compute_capability") or (8, 0)) >= (8, 0)
    return _GPU, str(details.get("device_name", "")), TF32 if with_tf32 and modern else FLOAT32


def _jax(jax: Any) -> tuple[str, str, str]:
    device = jax.devices()[0]
    asked = str(jax.config.jax_default_matmul_precision or "").lower()
    kind = str(device.device_kind)
    if device.platform == _CPU:
        return _CPU, "", FLOAT32
    if device.platform == _TPU:
        return _TPU, kind, FLOAT32 if asked in _NO_TF32 else BFLOAT16
    return _GPU, kind, FLOAT32 if asked in _NO_TF32 else TF32


def _torch(torch: Any) -> tuple[str, str, str]:
    keras: Any = sys.modules.get("keras")  # it runs on torch, so it is imported
    device = keras.src.backend.torch.core.get_device() if hasattr(keras, "src") else ""
    if not str(device).startswith("cuda") or not torch.cuda.is_available():
        return (_CPU if str(device) in ("cpu", "") else _GPU), "", FLOAT32
    modern = torch.cuda.get_device_capability()[0] >= 8  # noqa: PLR2004 - Ampere
    # Convolutions are computed in TF32 unless that is switched off, products only when it is on.
    allowed = torch.get_float32_matmul_precision() != "highest" or torch.backends.cudnn.allow_tf32
    return _GPU, str(torch.cuda.get_device_name()), TF32 if modern and allowed else FLOAT32
