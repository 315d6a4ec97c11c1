"""`load` for a SavedModel: by TensorFlow 2's loader, else in a session of TensorFlow 1.

Only what neither of the two takes is no model. Where TensorFlow 2 loads it and one of its
signatures does not run there, the session's answer counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING, Any

from checkpointd.checkpoint import CheckResult, failed, passed
from checkpointd.verify import saved_models, saved_models_v1
from checkpointd.verify.load_errors import classify
from checkpointd.verify.origin import release
from checkpointd.verify.saved_models_v1 import NotLoadedError
from checkpointd.verify.tf_errors import lack, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from checkpointd.verify.runtime import LoadContext, Loaded, Signature

_SESSION = "the TensorFlow 1 session loader"
_MOST_TWICE = 256 << 20
"""Bytes of a SavedModel beyond which it is not loaded a second time beside the first."""

_CERTAIN = (
    "not found in checkpoint",
    "Cannot parse file",
    "Unable to open table file",
    "Failed to find any matching files for",
    "is not a valid checkpoint",
)
"""What TensorFlow says of a file that is broken, whatever else is missing here."""


def check(context: LoadContext, path: str) -> CheckResult:
    """Load a SavedModel, by the first loader that takes it with a signature."""
    errors: dict[str, Exception] = {}
    second: Loaded | None = None
    first, tags = _by_tensorflow_2(path, errors)
    if first is None or not first.signatures:
        try:
            second = saved_models_v1.load(path)
        except NotLoadedError as error:
            errors.update({_SESSION + _with(t): e for t, e in error.errors.items()})
        except Exception as error:  # noqa: BLE001 - TensorFlow raises anything; `_judge` tells
            errors[_SESSION] = error
    if second is not None and (first is None or second.signatures):
        broken = _half_read(path, second, next(iter(errors.values()), None))
        if broken is not None:
            return broken
        context.loaded = second
        return _passed(second, saved_models_v1.LOADER, second.model.tags, errors)
    if first is not None:
        context.loaded = _with_session(first, path, tags)
        return _passed(first, saved_models.LOADER, tags, errors)
    return _judge(path, list(errors.values()))


def _by_tensorflow_2(
    path: str, errors: dict[str, Exception]
) -> tuple[Loaded | None, tuple[str, ...]]:
    """Load it as TensorFlow 2 does; of several graphs the first that is loaded."""
    try:
        tag_sets = saved_models_v1.tags_of(path)
    except Exception as error:  # noqa: BLE001 - TensorFlow raises anything; `_judge` tells
        errors["tf.saved_model.load"] = error
        return None, ()
    spare: tuple[Loaded | None, tuple[str, ...]] = (None, ())
    for tags in tag_sets:
        try:
            loaded = saved_models.load(path, tags if len(tag_sets) > 1 else None)
        except Exception as error:  # noqa: BLE001 - the same
            errors[f"tf.saved_model.load{_with(tags) if len(tag_sets) > 1 else ''}"] = error
            continue
        if loaded.signatures:
            return loaded, tags
        spare = spare if spare[0] is not None else (loaded, tags)
    return spare


def _with(tags: tuple[str, ...]) -> str:
    return f" with the tags {', '.join(tags)}" if tags else " without tags"


def _half_read(path: str, loaded: Loaded, error: Exception | None) -> CheckResult | None:
    """Judge why TensorFlow 2 did not take the objects that it wrote, and a session does not read.

    Where that is a broken reference among them, they are a part that no loader reads.
    """
    if error is None or not loaded.model.meta_graph.object_graph_def.nodes:
        return None
    if lack(error) is not None or _newer_writer(path) is not None or not _is_broken(error):
        return None
    return _load_error([error])


def _is_broken(error: Exception) -> bool:
    return (
        _is_certain(error)
        or isinstance(error, (IndexError, KeyError, AssertionError))
        or "incompatible tensor with shape" in str(error)
    )


def _passed(
    loaded: Loaded, loader: str, tags: tuple[str, ...], errors: Mapping[str, Exception]
) -> CheckResult:
    message = "Loaded as a SavedModel."
    if loader == saved_models_v1.LOADER:
        message = f"Loaded as a SavedModel by {_SESSION}{_with(tags)}"
        first = next(iter(errors.items()), None)
        why = f": {first[0]} fails with {shortened(str(first[1]))}" if first else "."
        message += why
    return passed(
        "load",
        message,
        loader=loader,
        tags=list(tags),
        saved_with=str(getattr(loaded.model, "tensorflow_version", "")),
        signatures=sorted(loaded.signatures),
    )


def _judge(path: str, errors: list[Exception]) -> CheckResult:
    """Judge what no loader takes: it is no evidence if one of them lacks something here."""
    sure = next((e for e in errors if _is_certain(e)), None)
    if sure is not None:
        return _load_error([sure])
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
    said = list(dict.fromkeys(f"{type(e).__name__}: {shortened(str(e))}" for e in errors))
    more = f" In a session of TensorFlow 1: {said[-1]}" if len(said) > 1 else ""
    return failed("load", "load_error", f"It cannot be loaded: {said[0]}{more}")


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


class _Session:
    """The same SavedModel in a session, loaded when a signature does not run in TensorFlow 2."""

    def __init__(self, path: str, tags: tuple[str, ...]) -> None:
        self._path = path
        self._tags = tags
        self._loaded: Loaded | None = None
        self._error: Exception | None = None
        self.said: dict[str, str] = {}

    def run(self, name: str, arrays: Mapping[str, Any], first: Exception) -> dict[str, Any]:
        """Run a signature that failed with `first`.

        Raises:
            Exception: what tells more of why it does not run.
        """
        reason = lack(first)
        if reason is not None and reason.word == "out_of_memory":
            raise first
        try:
            outputs = self._model().signatures[name].run(arrays)
        except Exception as second:
            if reason is None and not isinstance(second, KeyError) and lack(second) is not None:
                raise second from first
            raise first from None
        self.said[name] = f"{name!r} runs only in {_SESSION}."
        return outputs

    def _model(self) -> Loaded:
        if self._error is not None:
            raise self._error
        if self._loaded is None:
            try:
                if _bytes_below(self._path) > _MOST_TWICE:
                    raise KeyError("too large to be loaded twice")  # noqa: TRY301 - kept like others
                self._loaded = saved_models_v1.load(self._path, [self._tags])
            except Exception as error:
                self._error = error
                raise
        return self._loaded

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """A block after which the session is as it was loaded."""
        try:
            yield
        finally:
            if self._loaded is not None:
                with self._loaded.unchanged():
                    pass


def _with_session(loaded: Loaded, path: str, tags: tuple[str, ...]) -> Loaded:
    """Have signatures run in a session where they do not run in TensorFlow 2."""
    session = _Session(path, tags)

    def in_either(name: str, signature: Signature) -> Signature:
        def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
            try:
                return signature.run(arrays)
            except Exception as error:  # noqa: BLE001 - a model raises anything
                return session.run(name, arrays, error)

        return dataclasses.replace(signature, run=run)

    signatures = {name: in_either(name, s) for name, s in loaded.signatures.items()}
    return dataclasses.replace(
        loaded, signatures=signatures, guard=session.unchanged, elsewhere=session.said
    )


def _bytes_below(path: str) -> int:
    return sum(
        os.stat(os.path.join(where, name)).st_size
        for where, _, names in os.walk(path)
        for name in names
    )
