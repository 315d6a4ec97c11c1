"""Runs the checks of a stage in order, times them, and skips those that need a failed one.

A check is a function of a context that returns a `CheckResult`; what else it learns goes into
`Context.facts`. Both stages, `scan_stage` and `load_stage`, call `run`.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from checkpointd.core import memory_errors
from checkpointd.core import text as text_of
from checkpointd.core.check_result import CheckResult, Outcome, failed, skipped
from checkpointd.core.report import Facts
from checkpointd.core.suite import LOAD_CHECKS, SPECS, SUITE, SWITCHED_OFF
from checkpointd.verify.tf_errors import cause, environment_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.core.request import End, Request

BLOCKING = frozenset({Outcome.FAIL, Outcome.ERROR})
"""The outcomes after which the checks that need a check are not run."""

_MAX_TEXT = 2000


class Stop(Exception):  # noqa: N818 - it ends a verification without a verdict, it is no error
    """Raised inside a check when the verification is to end without a verdict."""

    def __init__(self, end: End, message: str) -> None:
        super().__init__(message)
        self.end = end
        self.message = message


@dataclass
class Context:
    """What the checks of one run share; each stage adds fields to it.

    `waited`: seconds in which a check waited for something else, which are none of its duration.
    """

    request: Request
    facts: Facts = field(default_factory=Facts)
    waited: float = 0.0

    def learn(self, **facts: Any) -> None:
        """Add to the facts, by the field names of `Facts`."""
        self.facts = dataclasses.replace(self.facts, **facts)


C = TypeVar("C", bound=Context)
Check = Callable[[Any], CheckResult]
Emit = Callable[[CheckResult], None]


def import_checks(stage: str) -> tuple[tuple[str, Check], ...]:
    """Import the modules of a stage's checks, and return pairs of a check's name and function."""
    return tuple(
        (spec.name, importlib.import_module(spec.module).check)
        for spec in SUITE
        if spec.stage == stage
    )


def run(
    context: C,
    checks: Iterable[tuple[str, Callable[[C], CheckResult]]],
    emit: Emit,
) -> dict[str, CheckResult]:
    """Run checks in the order given and emit each result as soon as it is known.

    A check is not run when `settings.skip` names it, or when one that it needs failed, ended in an
    error, or was itself blocked; a needed check that did not run, or that the user skipped, blocks
    nothing. A check that the settings do not enable has no result.

    Args:
        context: handed to every check.
        checks: pairs of a check's name and its function.
        emit: called with every result, the skipped ones too.

    Returns:
        Every result by the check's name.

    Raises:
        Stop: a check found that there is nothing to verify.
    """
    blocked: set[str] = set()
    results: dict[str, CheckResult] = {}
    settings = context.request.settings
    for name, check in checks:
        if name in SPECS and not SPECS[name].runs_under(settings):
            continue
        broken = next((need for need in _needs(name) if need in blocked), None)
        if name in settings.skip:
            result = skipped(name, SWITCHED_OFF)
        elif broken is not None:
            blocked.add(name)
            result = skipped(name, f"Not run, because {_root(broken, results)} failed.")
        else:
            result = _timed(name, check, context)
            if blocks(result):
                blocked.add(name)
        results[name] = result
        emit(result)
    return results


def blocks(result: CheckResult) -> bool:
    """Whether the checks of this stage that need a check are not run after this result."""
    spec = SPECS.get(result.name)
    word = result.reason.partition(".")[2]
    return result.outcome in BLOCKING and not (spec is not None and word in spec.harmless)


def _needs(name: str) -> tuple[str, ...]:
    """Return what a check of the suite needs; its runner holds back a user's check."""
    return SPECS[name].needs if name in SPECS else ()


def _root(name: str, results: Mapping[str, CheckResult]) -> str:
    """Return the check that failed first among those that `name` needs: the cause."""
    result = results.get(name)
    if result is None or result.outcome is not Outcome.SKIP:
        return name
    return next((_root(need, results) for need in _needs(name) if need in results), name)


def _timed(name: str, check: Callable[[C], CheckResult], context: C) -> CheckResult:
    started, waited = time.perf_counter(), context.waited
    try:
        result = check(context)
    except Stop:
        raise
    except Exception as error:  # noqa: BLE001 - every failure becomes a result
        result = from_exception(name, error)
    result = _blame_memory(result)
    return dataclasses.replace(
        result,
        message=printable(result.message),
        duration_seconds=time.perf_counter() - started - (context.waited - waited),
    )


def _blame_memory(result: CheckResult) -> CheckResult:
    """Replace a load check's failure by `out_of_memory` where its message is about memory.

    Results of the scan are kept: they are about bytes that were read.
    """
    bad = result.reason and result.outcome is not Outcome.PASS
    if not bad or result.name not in LOAD_CHECKS or result.reason.endswith(".out_of_memory"):
        return result
    if not memory_errors.mentions_memory(result.message):
        return result
    return failed(result.name, "out_of_memory", f"Not enough memory: {result.message}")


def from_exception(check: str, error: Exception) -> CheckResult:
    """Make the result of a check that could not finish: an error, never the checkpoint's fault."""
    if memory_errors.is_memory_error(error):
        detail = "" if isinstance(error, MemoryError) else f": {type(error).__name__}: {error}"
        return failed(
            check, "out_of_memory", f"There was not enough memory to check it{printable(detail)}."
        )
    if isinstance(error, OSError):
        return failed(check, "unreadable", f"It could not be read: {describe(error)}.")
    missing = environment_problem(error)
    if missing is not None:
        return failed(check, missing.word, missing.message, **missing.details)
    text = f"{type(error).__name__}: {cause(str(error))}"
    return failed(check, "environment", f"The check itself failed with {printable(text)}")


def describe(error: OSError) -> str:
    """Describe an operating system's error, with the file that it is about."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    named = f" ({printable(os.fsdecode(error.filename))})" if error.filename else ""
    return f"{printable(reason)}{named}"


def printable(text: str, limit: int = _MAX_TEXT) -> str:
    """Make text from a file or a library safe to print: one line, escaped, of limited length."""
    return text_of.printable(text, limit)
