"""The check `inference`: every signature runs, and gives finite outputs of the declared shape.

Only what was recorded for a signature can fail it: golden inputs and warm-up requests. Inputs
that were made up show that it runs, and never that it does not: a model may be right to refuse
them, or to have no number for them. The one exception hangs on no input: a table or a variable
that nothing initialises.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, Outcome, failed, passed, skipped
from checkpointd.core.format_specs import Format
from checkpointd.verify.load import outputs
from checkpointd.verify.load.inputs import feeding, made_inputs, warmup
from checkpointd.verify.load.load_errors import one_line
from checkpointd.verify.suite import printable
from checkpointd.verify.tf_errors import environment_problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.verify.load.context import LoadContext
    from checkpointd.verify.load.inputs.feeding import Feed
    from checkpointd.verify.load.loaded import Signature

NAME = "inference"

_DESCRIPTIONS = {"golden inputs": "the golden inputs", made_inputs.ON: "every input made for it"}
_GIVE_GOLDEN = "give GoldenCheckpoint a golden batch"
_SECONDS = 60.0
"""After how long only one input more is made for each signature."""

_FINAL = frozenset({"inference.out_of_memory", "inference.environment"})
"""What no other inputs change."""

_MOST_UNINITIALIZED = 4
_NOT_HERE = " cannot be run here. "

_UNINITIALIZED = (
    "Table not initialized",
    "able was not initialized",
    "variable was uninitialized",
    "ttempting to use uninitialized value",
)


def check(context: LoadContext) -> CheckResult:
    """Run every signature on the golden inputs where they fit, else on made ones."""
    loaded = context.loaded
    if loaded is None:
        return skipped(NAME, context.nothing_loaded)
    if not loaded.signatures:
        return skipped(NAME, "It has no signature, so nothing in it can be run by itself.")
    warm = warmup.Warmup()
    if loaded.library is None and context.facts.format is Format.SAVEDMODEL:
        warm = warmup.read(context.request.checkpoint.path)
    notes = list(warm.notes)
    absent = sorted(set(warm.requests) - set(loaded.signatures))
    if absent:
        notes.append(f"Its warm-up requests name a signature that is not there: {absent[0]!r}.")
    ran: dict[str, str] = {}
    others: list[CheckResult] = []
    until = time.monotonic() + _SECONDS
    for name, signature in loaded.signatures.items():
        if name in context.request.settings.allow_signatures:
            notes.append(f"{name!r} was not run: allow_signatures lets it use files.")
            continue
        with loaded.unchanged():
            one = _run(context, name, signature, warm.requests.get(name, ()), until)
        if one.result is not None and one.result.outcome is Outcome.FAIL:
            return one.result
        others += [one.result] if one.result is not None else []
        notes += one.notes
        if one.on:
            ran[name] = one.on
    notes += loaded.notes.values()
    return _summary(ran, others, notes)


def _summary(
    ran: Mapping[str, str], others: Sequence[CheckResult], notes: list[str]
) -> CheckResult:
    """Make one result of those of all signatures, none of which failed."""
    warned = next((r for r in others if r.outcome is Outcome.WARN), None)
    if warned is not None:
        return warned
    notes = [*_together(others), *notes]
    if ran:
        message = ", ".join(f"{name} on {on}" for name, on in sorted(ran.items()))
        return passed(NAME, printable(" ".join([f"Ran {message}.", *notes])), ran=dict(ran))
    if others:
        word = others[0].reason.partition(".")[2]
        return failed(NAME, word, printable(" ".join(notes)), **others[0].details)
    return failed(NAME, "not_run", printable(" ".join(notes)))


def _together(results: Sequence[CheckResult]) -> list[str]:
    """The sentences of several signatures, each cause once."""
    names: dict[str, list[str]] = {}
    for result in results:
        name, here, cause = result.message.partition(_NOT_HERE)
        names.setdefault(here + cause, []).append(name)
    return [", ".join(of) + cause if cause else " ".join(of) for cause, of in names.items()]


@dataclass
class _Ran:
    """What became of one signature.

    `on` says what it ran on, if it did; `notes` what else to report; `result` what is wrong
    with it, or why it was not run. After `until` nothing is tried twice.
    """

    name: str
    signature: Signature
    until: float
    keras: bool = False
    on: str = ""
    notes: list[str] = field(default_factory=list)
    result: CheckResult | None = None


def _run(
    context: LoadContext,
    name: str,
    signature: Signature,
    requests: Sequence[Mapping[str, Any]],
    until: float,
) -> _Ran:
    """Run one signature on what was recorded for it, else on made inputs."""
    keras = context.loaded is not None and context.loaded.library is not None
    ran = _Ran(name, signature, until, keras)
    feeds = [feeding.from_record(context.record, signature, name)]
    if feeds[0] is None and requests:
        on = "a warm-up request" if len(requests) == 1 else f"{len(requests)} warm-up requests"
        feeds = [feeding.fitted(r, signature, by_name=True, on=on) for r in requests]
        if None in feeds:
            ran.notes.append(f"A warm-up request does not fit {name!r}.")
    given = [feed for feed in feeds if feed is not None]
    for feed in given:
        result = _attempt(ran, feed)
        if result is not None and result.reason == "inference.inference_error" and not feed.proven:
            break  # they were another's
        if result is not None:
            ran.result = result
            return ran
        ran.on = feed.on
    if not ran.on:
        _run_on_made(ran)
    return ran


def _run_on_made(ran: _Ran) -> None:
    """Run a signature on made inputs, until it runs on some and gives finite outputs."""
    if not ran.signature.inputs and ran.keras:
        ran.notes.append(f"{ran.name!r} does not say what it takes: {_GIVE_GOLDEN}.")
        return
    refused: CheckResult | None = None
    left = _MOST_UNINITIALIZED
    try:
        for feed in made_inputs.tries(ran.signature):
            result = _attempt(ran, feed)
            if result is None:
                ran.on, ran.result = feed.on, None
                return
            if result.reason == "inference.inference_error":
                refused = refused or result
            elif ran.result is None or result.reason == "inference.non_finite_made_up":
                ran.result = result
            left -= result.reason == "inference.uninitialized"
            if result.reason in _FINAL or not left or time.monotonic() > ran.until:
                break
    except made_inputs.CannotMakeError as error:
        ran.notes.append(f"{ran.name!r} was not run, because {error}: {_GIVE_GOLDEN}.")
        return
    if ran.result is None and refused is not None:
        ran.result = failed(NAME, "not_run", f"{refused.message.rstrip('.')}: {_GIVE_GOLDEN}.")


def _attempt(ran: _Ran, feed: Feed) -> CheckResult | None:
    """Run a signature once; None when nothing is wrong with what it gives."""
    try:
        given = ran.signature.run(feed.arrays)
    except MemoryError:
        return failed(NAME, "out_of_memory", f"There was not enough memory to run {ran.name!r}.")
    except Exception as error:  # noqa: BLE001 - a model raises anything
        return _failure(ran, feed, error)
    shaped = outputs.misshapen(ran.signature.outputs, given, feed.expected)
    if shaped is not None and shaped.recorded and not ran.keras:
        return failed(NAME, "wrong_shape", f"{ran.name!r} {shaped.message}.")
    if shaped is not None:  # Keras recalculates what a model declares, and sometimes wrongly
        origin = ", which is Keras's own calculation" if ran.keras else ""
        note = f"{ran.name!r} {shaped.message}{origin}."
        ran.notes += [note] if note not in ran.notes else []
    odd = outputs.non_finite(given, feed.expected)
    if odd is None:
        return None
    if odd.recorded:
        word, more = "non_finite_output", ""
    elif feed.on == made_inputs.ON:
        word, more = "non_finite_made_up", f" for {_DESCRIPTIONS[feed.on]}, which may be correct"
    else:
        word, more = "non_finite_unrecorded", f" for {_describe_inputs(feed)}"
    message = f"{ran.name!r} {odd.message}{more}."
    return failed(NAME, word, message, output=odd.output, count=odd.count)


def _failure(ran: _Ran, feed: Feed, error: Exception) -> CheckResult:
    """Make the result for a signature that did not run, by what it was run on."""
    raw = str(error)
    text = one_line(f"{type(error).__name__}: {raw}", 600)
    missing = environment_problem(error)
    if missing is not None:
        message = f"{ran.name!r}{_NOT_HERE}{missing.message}"
        return failed(NAME, missing.word, message, **missing.details)
    if any(mark in raw for mark in _UNINITIALIZED):
        message = f"{ran.name!r} reads a table or a variable that nothing initialises: {text}"
        return failed(NAME, "uninitialized", message)
    return failed(
        NAME, "inference_error", f"{ran.name!r} fails on {_describe_inputs(feed)}: {text}"
    )


def _describe_inputs(feed: Feed) -> str:
    return _DESCRIPTIONS.get(feed.on, feed.on)
