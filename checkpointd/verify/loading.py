"""The load side of the suite, from `load` to `resume`, in one child process.

It runs in a process where `preload` was called and no TensorFlow op was ever run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd import golden
from checkpointd.checkpoint import Format
from checkpointd.verify import inference, load, predictions, resume, runtime, signatures
from checkpointd.verify.runtime import LoadContext, preload
from checkpointd.verify.suite import printable, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.checkpoint import CheckResult, Facts, Request

__all__ = ["CHECKS", "load_suite", "preload"]

CHECKS = (
    ("load", load.check),
    ("signatures", signatures.check),
    ("inference", inference.check),
    ("predictions", predictions.check),
    (resume.NAME, resume.check),
)
"""The checks that run here, in order."""


def load_suite(request: Request, facts: Facts, emit: Callable[[CheckResult], None]) -> Facts:
    """Run the load side of the suite.

    Args:
        request: what to verify, and how.
        facts: what the scan side learned; its format decides how it is loaded.
        emit: called with each check's result as soon as it is known.

    Returns:
        The facts, with signatures, the largest difference of predictions and the environment.
    """
    runtime.preload()
    context = LoadContext(request, facts)
    context.learn(environment={**facts.environment, **runtime.describe()})
    _find_record(context)
    run(context, CHECKS, emit)
    return context.facts


def _find_record(context: LoadContext) -> None:
    path, form = context.request.checkpoint.path, context.facts.format
    if form is Format.UNKNOWN:
        form = context.request.checkpoint.format
    try:
        record = golden.read(golden.path_for(path, form))
        bound = record.binding == golden.binding_of(path, form) != ""
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
