"""`load` for a SavedModel: by TensorFlow 2's loader, else in a session of TensorFlow 1.

Only what neither of the two takes is no model. Where TensorFlow 2 loads it and one of its
signatures does not run there, the session's answer counts.
"""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, failed, passed
from checkpointd.verify.keras_files.origin import release
from checkpointd.verify.load.load_errors import classify
from checkpointd.verify.load.loaders import saved_model, session
from checkpointd.verify.load.loaders.session import NotLoadedError
from checkpointd.verify.load.loaders.session_fallback import SESSION, bare, with_session
from checkpointd.verify.tf_errors import lack, shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from checkpointd.verify.load.runtime import LoadContext, Loaded

_PATTERN = frozenset("[]*?")

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
    try:
        graphs = session.graphs_of(path)
    except Exception as error:  # noqa: BLE001 - TensorFlow raises anything; `_judge` tells
        return _judge(path, [error])
    first, tags = _by_tensorflow_2(path, graphs, errors)
    if _may_be_tried(first, graphs, errors):
        gc.collect()  # what TensorFlow 2 left of a model that it gave up
        try:
            second = session.load(path)
        except NotLoadedError as error:
            errors.update({SESSION + _with(t): e for t, e in error.errors.items()})
        except Exception as error:  # noqa: BLE001 - TensorFlow raises anything; `_judge` tells
            errors[SESSION] = error
    if second is not None and not second.signatures and first is None:
        # Objects that a library has to register: a graph without a signature is no use of them.
        second = second if all(lack(error) is None for error in errors.values()) else None
    if second is not None and (first is None or second.signatures):
        broken = _half_read(path, second, next(iter(errors.values()), None))
        if broken is not None:
            return broken
        context.loaded = second
        return _passed(second, session.LOADER, second.model.tags, errors)
    if first is not None:
        context.loaded = with_session(first, path, tags)
        return _passed(first, saved_model.LOADER, tags, errors)
    return _judge(path, list(errors.values()))


def _may_be_tried(
    first: Loaded | None, graphs: Mapping[tuple[str, ...], bool], errors: Mapping[str, Exception]
) -> bool:
    """Whether a session may show more than TensorFlow 2 did, and there is memory for it."""
    if first is not None:
        return not first.signatures and any(graphs.values())
    lacks = [lack(error) for error in errors.values()]
    return not any(found is not None and found.word == "out_of_memory" for found in lacks)


def _by_tensorflow_2(
    path: str, tag_sets: Collection[tuple[str, ...]], errors: dict[str, Exception]
) -> tuple[Loaded | None, tuple[str, ...]]:
    """Load it as TensorFlow 2 does; of several graphs the first that is loaded."""
    spare: tuple[Loaded | None, tuple[str, ...]] = (None, ())
    for tags in tag_sets:
        try:
            loaded = saved_model.load(path, tags if len(tag_sets) > 1 else None)
        except Exception as error:  # noqa: BLE001 - the same
            errors[f"tf.saved_model.load{_with(tags) if len(tag_sets) > 1 else ''}"] = bare(error)
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
    if loader == session.LOADER:
        message = f"Loaded as a SavedModel by {SESSION}{_with(tags)}"
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
    if _PATTERN & set(path) and any("matching files" in str(error) for error in errors):
        return failed(
            "load",
            "environment",
            "TensorFlow takes the brackets or stars in its path for a pattern, and finds no "
            "variables there: give the directory a name without any of [ ] * ?.",
        )
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
