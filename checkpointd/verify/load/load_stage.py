"""The load side of the suite: what is checked with the model loaded, in one child process.

It runs in a process where `preload` was called and no TensorFlow op was ever run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd import golden
from checkpointd.core.verify_settings import LOAD_STAGE
from checkpointd.verify.load import keras_backend, runtime
from checkpointd.verify.load.context import LoadContext
from checkpointd.verify.load.runtime import preload
from checkpointd.verify.suite import import_checks, printable, run
from checkpointd.verify.user_checks import run_user_checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.report import Facts
    from checkpointd.core.request import Request

__all__ = ["load_suite", "preload"]

_CHECKS = import_checks(LOAD_STAGE)
"""Imported with this module, which the zygote imports before it forks."""


def load_suite(
    request: Request,
    facts: Facts,
    emit: Callable[[CheckResult], None],
    learned: Callable[[Facts], None] = lambda _facts: None,
    pending: Callable[[], Facts] | None = None,
) -> Facts:
    """Run the load side of the suite.

    Args:
        request: what to verify, and how.
        facts: what the scan side found; its format decides how it is loaded.
        emit: called with each check's result as soon as it is known.
        learned: called with the facts before the user's own checks run, which may not come back.
        pending: waits for the facts that the scan ends with, where `facts` are earlier ones.

    Returns:
        The facts, with signatures, the largest difference of predictions and the environment.
    """
    keras_backend.fit_threads(request.generation.size_bytes)
    runtime.preload()
    context = LoadContext(request, facts, pending=pending)
    _find_record(context)
    keras_backend.use_for(context.record.environment if context.record else {})
    context.learn(environment={**facts.environment, **runtime.describe()})
    results = run(context, _CHECKS, emit)
    context.wait_for_scan()
    run_user_checks(context, LOAD_STAGE, emit, learned, {n: r.outcome for n, r in results.items()})
    return context.facts


def _find_record(context: LoadContext) -> None:
    path = context.request.checkpoint.path
    where = golden.path_for(path, context.format)
    if not os.path.isfile(where):  # a pipe would be waited for without end
        return
    try:
        record = golden.read(where)
        bound = record.binding == golden.binding_of(path, context.format) != ""
    except FileNotFoundError:
        return
    except golden.GoldenError as error:
        context.nothing_recorded = printable(str(error))
        return
    except OSError as error:
        context.nothing_recorded = printable(f"The golden record could not be read: {error}.")
        return
    if bound:
        context.record = record
    else:
        context.nothing_recorded = (
            "The golden record beside it belongs to another save: save through GoldenCheckpoint."
        )
