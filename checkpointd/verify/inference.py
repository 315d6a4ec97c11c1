"""The check `inference`: every signature runs, and gives finite outputs of the declared shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.checkpoint import CheckResult, failed, passed, skipped
from checkpointd.verify import feeding
from checkpointd.verify.load_errors import WRONG_MACHINE
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.verify.feeding import Feed
    from checkpointd.verify.runtime import LoadContext, Signature, Spec

_GIVE_GOLDEN = "give GoldenCheckpoint a golden batch"


def check(context: LoadContext) -> CheckResult:
    """Run every signature on the golden inputs where they fit, else on made ones."""
    if context.loaded is None:
        return skipped("inference", context.nothing_loaded)
    signatures = context.loaded.signatures
    if not signatures:
        return skipped("inference", "It has no signature, so nothing in it can be run by itself.")
    notes: list[str] = []
    ran: dict[str, str] = {}
    for name, signature in signatures.items():
        outcome = _run(context, name, signature)
        if isinstance(outcome, CheckResult):
            return outcome
        if isinstance(outcome, str):
            notes.append(outcome)
        else:
            ran[name] = "made inputs" if outcome.made else "golden inputs"
    if not ran:
        return skipped("inference", " ".join(notes))
    told = ", ".join(f"{name} on {on}" for name, on in sorted(ran.items()))
    return passed("inference", printable(" ".join([f"Ran {told}.", *notes])), ran=ran)


def _run(context: LoadContext, name: str, signature: Signature) -> CheckResult | str | Feed:
    """Run one signature: what is wrong with it, why it could not be run, or what it ran on."""
    feed = feeding.from_record(context.record, signature)
    if feed is not None:
        return _attempt(name, signature, feed) or feed
    if not signature.inputs:
        return f"{name!r} does not say what it takes: {_GIVE_GOLDEN}."
    result: CheckResult | None = None
    for size in feeding.OPEN_SIZES:
        try:
            feed = feeding.make(signature, size)
        except ValueError as error:
            return f"{name!r} was not run, because {printable(str(error))}: {_GIVE_GOLDEN}."
        result = _attempt(name, signature, feed)
        if result is None:
            return feed
        if not feed.guessed or result.reason != "inference.inference_error":
            return result
    message = result.message if result else ""
    return (
        f"{name!r} refuses inputs made from its own spec, which leaves sizes or texts open "
        f"({message}): {_GIVE_GOLDEN}."
    )


def _attempt(name: str, signature: Signature, feed: Feed) -> CheckResult | None:
    try:
        outputs = signature.run(feed.arrays)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a model raises anything
        text = printable(f"{type(error).__name__}: {error}", 600)
        if type(error).__name__ == "ResourceExhaustedError":
            return failed("inference", "out_of_memory", f"Not enough memory to run {name!r}.")
        if any(mark in str(error) for mark in WRONG_MACHINE):
            return failed(
                "inference", "environment", f"{name!r} has an op that needs a GPU: {text}"
            )
        on = "inputs made from its own spec" if feed.made else "the golden inputs"
        return failed("inference", "inference_error", f"{name!r} fails on {on}: {text}")
    return judge(name, signature.outputs, outputs)


def judge(name: str, declared: tuple[Spec, ...], outputs: Mapping[str, Any]) -> CheckResult | None:
    """Judge the outputs of one signature; None when nothing is wrong with them."""
    shapes = {spec.name: spec.shape for spec in declared}
    for key, value in outputs.items():
        array = np.asarray(value)
        if feeding.wrong_shape(array.shape, shapes.get(key)):
            return failed(
                "inference",
                "wrong_shape",
                f"{name!r} gives {key!r} of shape {list(array.shape)}, and declares "
                f"{list(shapes[key] or ())}.",
            )
    for key, value in outputs.items():
        array = np.asarray(value)
        if array.dtype.isbuiltin != 1:  # ml_dtypes' narrow floats
            array = array.astype(np.float32) if array.dtype.kind == "V" else array
        if array.dtype.kind not in "fc":
            continue
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            return failed(
                "inference",
                "non_finite_output",
                f"{name!r} gives {bad} of {array.size} values of {key!r} that are NaN or Inf.",
                output=key,
                count=bad,
            )
    return None
