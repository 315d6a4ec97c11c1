"""Why no loader takes a SavedModel, and whether that is the file's fault."""

from __future__ import annotations

import contextlib

from checkpointd.core.check_result import CheckResult, failed
from checkpointd.verify.keras_files.origin import release
from checkpointd.verify.load.load_errors import classify
from checkpointd.verify.tf_errors import environment_problem, shortened

_PATTERN = frozenset("[]*?")

_CERTAIN = (
    "not found in checkpoint",
    "Cannot parse file",
    "Unable to open table file",
    "Failed to find any matching files for",
    "is not a valid checkpoint",
)
"""TensorFlow's messages about a file that is broken, whatever else is missing here."""


def explain(path: str, errors: list[Exception]) -> CheckResult:
    """Explain why no loader takes it, which proves nothing if something is missing here."""
    if _PATTERN & set(path) and any("matching files" in str(error) for error in errors):
        return failed(
            "load",
            "environment",
            "TensorFlow takes the brackets or stars in its path for a pattern, and finds no "
            "variables there: give the directory a name without any of [ ] * ?.",
        )
    certain = next((e for e in errors if _is_certain(e)), None)
    if certain is not None:
        return _load_error([certain])
    results = [classify(error) for error in errors]
    excused = next((r for r in results if r.reason != "load.load_error"), None)
    if excused is not None:
        return excused
    newer = _newer_writer(path)
    if newer:
        return failed(
            "load",
            "environment",
            f"TensorFlow {newer[0]} wrote it, and the older TensorFlow {newer[1]} here does not "
            f"load it: upgrade TensorFlow, or set python in [watch.verify]. "
            f"{shortened(str(errors[0]))}",
            written_by=newer[0],
        )
    return _load_error(errors)


def _is_certain(error: Exception) -> bool:
    return type(error).__name__ == "DataLossError" or any(s in str(error) for s in _CERTAIN)


def _load_error(errors: list[Exception]) -> CheckResult:
    messages = list(dict.fromkeys(f"{type(e).__name__}: {shortened(str(e))}" for e in errors))
    more = f" In a session of TensorFlow 1: {messages[-1]}" if len(messages) > 1 else ""
    return failed("load", "load_error", f"It cannot be loaded: {messages[0]}{more}")


def _newer_writer(path: str) -> tuple[str, str] | None:
    """The versions of the writer's TensorFlow and of this one, if the writer's is newer."""
    import tensorflow as tf
    from tensorflow.python.saved_model import loader_impl

    with contextlib.suppress(Exception):  # what cannot be read has been judged by then
        graphs = loader_impl.parse_saved_model(path).meta_graphs
        versions = [g.meta_info_def.tensorflow_version for g in graphs]
        newest = max(versions, key=release, default="")
        if release(newest) > release(tf.__version__):
            return newest, str(tf.__version__)
    return None


def half_read(path: str, error: Exception) -> CheckResult | None:
    """Judge why TensorFlow 2 did not take the objects that it wrote, and a session does not read.

    Where that is a broken reference among them, they are a part that no loader reads.
    """
    if (
        environment_problem(error) is not None
        or _newer_writer(path) is not None
        or not _is_broken(error)
    ):
        return None
    return _load_error([error])


def _is_broken(error: Exception) -> bool:
    return (
        _is_certain(error)
        or isinstance(error, (IndexError, KeyError, AssertionError))
        or "incompatible tensor with shape" in str(error)
    )
