"""Users' checks: found by `module:name` or entry point, called, and their results validated.

Whatever such a function does (raises, ends the process, returns something invalid) is an error of
that check, with the reason `<check>.check_error` and a message that names what to correct.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from checkpointd import checks as public
from checkpointd.core.check_result import CheckResult, Outcome, skipped
from checkpointd.core.format_specs import Format
from checkpointd.core.loader_specs import NOTHING_LOADED
from checkpointd.core.suite import USER_CHECKS_NEED
from checkpointd.core.verify_settings import ENTRY_POINTS, LOAD_STAGE
from checkpointd.tensors import baseline
from checkpointd.verify import user_code
from checkpointd.verify.suite import BLOCKING, Context, printable, run
from checkpointd.verify.user_code import UserCodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.report import Facts
    from checkpointd.core.verify_settings import UserCheck
    from checkpointd.golden import Golden
    from checkpointd.verify.suite import Emit

_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ERROR = "check_error"
_WORDS = {Outcome.FAIL: "failed", Outcome.WARN: "warned", Outcome.ERROR: _ERROR}
_MAX_DETAILS = 64 * 1024
_ACCEPTED = "True, False, None, a text, a dict with an outcome, or a Result of checkpointd.checks"


def run_user_checks(
    context: Context,
    stage: str,
    emit: Emit,
    learned: Callable[[Facts], None],
    done: Mapping[str, Outcome],
) -> None:
    """Run the user's checks of a stage, after all others, because one may end this process.

    Args:
        context: of the stage.
        stage: SCAN_STAGE or LOAD_STAGE.
        emit: called with each check's result as soon as it is known.
        learned: called with the facts before the first of them runs.
        done: outcomes of the checks that ran before in this stage.
    """
    wanted = [c for c in context.request.settings.checks if c.stage == stage]
    if not wanted:
        return
    learned(context.facts)
    blocked = next((n for n in USER_CHECKS_NEED[stage] if done.get(n) in BLOCKING), None)
    for asked in wanted:
        if blocked is not None and asked.name not in context.request.settings.skip:
            emit(skipped(asked.name, f"Not run, because {blocked} did not pass."))
        else:
            run(context, [(asked.name, functools.partial(check, user_check=asked))], emit)


def check(context: Context, user_check: UserCheck) -> CheckResult:
    """Run one of the user's checks."""
    loaded = getattr(context, "loaded", None)
    if user_check.stage == LOAD_STAGE and loaded is None:
        return skipped(user_check.name, getattr(context, "nothing_loaded", NOTHING_LOADED))
    user_code.use_python_path(context.request.settings)
    try:
        function = find(user_check)
        argument = describe(context, loaded.model if loaded is not None else None)
        what = f"The check {user_check.name!r} of [[watch.verify.checks]]"
        return result_of(user_check.name, user_code.call(function, argument, what))
    except UserCodeError as error:
        return CheckResult(
            user_check.name, Outcome.ERROR, f"{user_check.name}.{_ERROR}", str(error)
        )


def find(user_check: UserCheck) -> Callable[[public.Context], Any]:
    """Import the function of a check.

    Raises:
        UserCodeError: there is none, or it cannot be called.
    """
    if user_check.function:
        where = f"the check {user_check.name!r} has function = {user_check.function!r}"
        function = user_code.resolve(user_check.function, where)
    else:
        function = _from_entry_point(user_check.name)
    if not callable(function):
        raise UserCodeError(
            f"In [[watch.verify.checks]] the check {user_check.name!r} names something of type "
            f"{type(function).__name__}: name a function that takes a context."
        )
    found: Callable[[public.Context], Any] = function
    return found


def _from_entry_point(name: str) -> Any:
    points: Any = importlib.metadata.entry_points()
    if hasattr(points, "select"):
        group = list(points.select(group=ENTRY_POINTS))
    else:  # Python 3.9
        group = list(points.get(ENTRY_POINTS, ()))
    point = next((p for p in group if p.name == name), None)
    if point is None:
        offered = ", ".join(sorted({p.name for p in group})) or "none"
        raise UserCodeError(
            f"In [[watch.verify.checks]] the check {name!r} has no function, and no installed "
            f"package offers it as an entry point of {ENTRY_POINTS} (offered: {offered}): add "
            f'function = "module:name", or install the package beside the interpreter in use.'
        )
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise UserCodeError(
            f"The entry point {name!r} of {ENTRY_POINTS} ({point.value}) cannot be imported: "
            f"{printable(f'{type(error).__name__}: {error}', 500)}."
        ) from error


def describe(context: Context, model: Any) -> public.Context:
    """Return the argument of a check."""
    request, facts = context.request, context.facts
    checkpoint, previous = request.checkpoint, request.previous
    record: Golden | None = getattr(context, "record", getattr(context, "golden", None))
    known = checkpoint.format if facts.format is Format.UNKNOWN else facts.format
    return public.Context(
        path=checkpoint.path,
        format=str(known),
        step=checkpoint.step if facts.step is None else facts.step,
        metrics={**checkpoint.metrics, **facts.metrics},
        tensors=_tensors(facts),
        inputs=dict(record.inputs) if record is not None else {},
        outputs=dict(record.outputs) if record is not None else {},
        model=model,
        previous=None
        if previous is None
        else public.Earlier(
            path=previous.path,
            step=previous.step,
            metrics=dict(previous.facts.metrics),
            tensors=_tensors(previous.facts),
        ),
    )


def _tensors(facts: Facts) -> dict[str, public.Tensor]:
    known = baseline.unpack(facts.tensors)
    return {
        name: public.Tensor(name, w.dtype, w.shape, w.norm, w.crc32)
        for name, w in (known.weights.items() if known is not None else ())
    }


def result_of(name: str, returned: Any) -> CheckResult:
    """Convert what the user's function returned into a check's result.

    Raises:
        UserCodeError: a check may not return that.
    """
    if returned is None or isinstance(returned, (bool, np.bool_)):
        outcome = Outcome.PASS if returned is None or returned else Outcome.FAIL
        message = "" if outcome is Outcome.PASS else f"The check {name!r} returned False."
        return _result(name, outcome, "", message, {})
    if isinstance(returned, str):
        return _result(name, Outcome.FAIL if returned else Outcome.PASS, "", returned, {})
    if isinstance(returned, dict):
        fields = returned
    elif all(hasattr(returned, key) for key in ("outcome", "word", "message", "details")):
        fields = {key: getattr(returned, key) for key in ("outcome", "word", "message", "details")}
    else:
        raise _invalid(name, f"it returned a {type(returned).__name__}")
    unexpected = sorted(str(key) for key in set(fields) - {"outcome", "word", "message", "details"})
    if unexpected:
        raise _invalid(name, f"its dict has {', '.join(unexpected)}")
    try:
        outcome = Outcome(fields.get("outcome"))
    except ValueError:
        raise _invalid(name, f"its outcome is {fields.get('outcome')!r}") from None
    details = fields.get("details") or {}
    if not isinstance(details, dict):
        raise _invalid(name, f"its details are a {type(details).__name__}")
    word, message = fields.get("word") or "", fields.get("message") or ""
    if not isinstance(word, str) or not isinstance(message, str):
        raise _invalid(name, "its word or its message is not a string")
    return _result(name, outcome, word, message, details)


def _result(
    name: str, outcome: Outcome, word: str, message: str, details: Mapping[str, Any]
) -> CheckResult:
    if outcome not in _WORDS:
        return CheckResult(name, outcome, "", message, details=_plain(details))
    word = word or _WORDS[outcome]
    if not _WORD.fullmatch(word):
        raise _invalid(name, f"{word!r} is not a word of a-z, 0-9 and _")
    return CheckResult(name, outcome, f"{name}.{word}", message, details=_plain(details))


def _plain(details: Mapping[str, Any]) -> dict[str, Any]:
    """Details that JSON can hold: other types as text, and of limited length."""
    try:
        text = json.dumps(dict(details), default=_number_or_text, allow_nan=True)
        plain: dict[str, Any] = json.loads(text, parse_constant=str)
    except (TypeError, ValueError, RecursionError):
        return {"left_out": "The details cannot be written as JSON."}
    if len(text) > _MAX_DETAILS:
        return {"left_out": f"The details are longer than {_MAX_DETAILS} characters."}
    return plain


def _number_or_text(value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind in "biuf" and array.size <= _MAX_DETAILS:
        return array.tolist()
    return printable(str(value))


def _invalid(name: str, problem: str) -> UserCodeError:
    return UserCodeError(
        printable(
            f"The check {name!r} of [[watch.verify.checks]] has to return {_ACCEPTED}: {problem}."
        )
    )
