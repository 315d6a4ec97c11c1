"""The check `inference`: every signature runs, and gives finite outputs of the declared shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.arrays import Ragged
from checkpointd.checkpoint import CheckResult, Format, failed, passed, skipped
from checkpointd.verify import feeding, warmup
from checkpointd.verify.suite import printable
from checkpointd.verify.tf_errors import lack, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.verify.feeding import Feed
    from checkpointd.verify.runtime import LoadContext, Signature, Spec

_SAID = {"golden inputs": "the golden inputs", "made inputs": "inputs made from its own spec"}
_GIVE_GOLDEN = "give GoldenCheckpoint a golden batch"


def check(context: LoadContext) -> CheckResult:
    """Run every signature on the golden inputs where they fit, else on made ones."""
    loaded = context.loaded
    if loaded is None:
        return skipped("inference", context.nothing_loaded)
    if not loaded.signatures:
        return skipped("inference", "It has no signature, so nothing in it can be run by itself.")
    warm = warmup.Warmup()
    if loaded.library is None and context.facts.format is Format.SAVEDMODEL:
        warm = warmup.read(context.request.checkpoint.path)
    notes = list(warm.notes)
    absent = sorted(set(warm.requests) - set(loaded.signatures))
    if absent:
        notes.append(f"Its warm-up requests name a signature that is not there: {absent[0]!r}.")
    ran: dict[str, str] = {}
    for name, signature in loaded.signatures.items():
        if name in context.request.settings.allow_signatures:
            notes.append(f"{name!r} was not run: allow_signatures lets it use files.")
            continue
        with loaded.unchanged():
            outcome = _run(context, name, signature, warm.requests.get(name, ()))
        if isinstance(outcome, CheckResult):
            return outcome
        notes += outcome.notes
        if outcome.on:
            ran[name] = outcome.on
    notes += loaded.elsewhere.values()
    if not ran:
        return skipped("inference", printable(" ".join(notes)))
    told = ", ".join(f"{name} on {on}" for name, on in sorted(ran.items()))
    return passed("inference", printable(" ".join([f"Ran {told}.", *notes])), ran=ran)


@dataclass
class _Ran:
    """What became of one signature: what it ran on, if it did, and what is to be said of it."""

    keras: bool = False
    on: str = ""
    notes: list[str] = field(default_factory=list)


def _run(
    context: LoadContext, name: str, signature: Signature, requests: Sequence[Mapping[str, Any]]
) -> CheckResult | _Ran:
    """Run one signature: what is wrong with it, or what it ran on."""
    ran = _Ran(keras=context.loaded is not None and context.loaded.library is not None)
    feeds = [feeding.from_record(context.record, signature)]
    if feeds[0] is None and requests:
        on = "a warm-up request" if len(requests) == 1 else f"{len(requests)} warm-up requests"
        feeds = [feeding.fitted(r, signature, by_name=True, on=on) for r in requests]
        if None in feeds:
            ran.notes.append(f"A warm-up request does not fit {name!r}.")
    given = [feed for feed in feeds if feed is not None]
    for feed in given:
        result = _attempt(name, signature, feed, ran)
        if result is not None:
            return result
        ran.on = feed.on
    return ran if given else _run_on_made(name, signature, ran)


def _run_on_made(name: str, signature: Signature, ran: _Ran) -> CheckResult | _Ran:
    if not signature.inputs and ran.keras:
        ran.notes.append(f"{name!r} does not say what it takes: {_GIVE_GOLDEN}.")
        return ran
    result: CheckResult | None = None
    for size in feeding.OPEN_SIZES:
        try:
            feed = feeding.make(signature, size)
        except ValueError as error:
            ran.notes.append(f"{name!r} was not run, because {error}: {_GIVE_GOLDEN}.")
            return ran
        result = _attempt(name, signature, feed, ran)
        if result is None:
            ran.on = feed.on
            return ran
        if not feed.guessed or result.reason != "inference.inference_error":
            return result
    message = result.message if result else ""
    ran.notes.append(
        f"{name!r} refuses inputs made from its own spec, which leaves sizes or texts open "
        f"({message}): {_GIVE_GOLDEN}."
    )
    return ran


def _attempt(name: str, signature: Signature, feed: Feed, ran: _Ran) -> CheckResult | None:
    try:
        outputs = signature.run(feed.arrays)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a model raises anything
        text = printable(f"{type(error).__name__}: {shortened(str(error))}", 600)
        if type(error).__name__ == "ResourceExhaustedError":
            return failed("inference", "out_of_memory", f"Not enough memory to run {name!r}.")
        missing = lack(error)
        if missing is not None:
            said = f"{name!r} cannot be run here. {missing.message}"
            return failed("inference", missing.word, said, **missing.details)
        on = _SAID.get(feed.on, feed.on)
        return failed("inference", "inference_error", f"{name!r} fails on {on}: {text}")
    result = judge(name, signature.outputs, outputs)
    if result is not None and result.reason == "inference.wrong_shape" and ran.keras:
        # Keras calculates what a model declares anew, and sometimes wrongly: no checkpoint's fault.
        ran.notes.append(f"{result.message.rstrip('.')}, which is Keras's own calculation.")
        return judge(name, (), outputs)
    return result


def judge(name: str, declared: tuple[Spec, ...], outputs: Mapping[str, Any]) -> CheckResult | None:
    """Judge the outputs of one signature; None when nothing is wrong with them."""
    shapes = {spec.name: spec.shape for spec in declared}
    for key, value in outputs.items():
        shape = np.shape(value) if not isinstance(value, Ragged) else value.shape
        if feeding.wrong_shape(shape, shapes.get(key)):
            return failed(
                "inference",
                "wrong_shape",
                f"{name!r} gives {key!r} of shape {list(shape)}, and declares "
                f"{list(shapes[key] or ())}.",
            )
    for key, value in outputs.items():
        array = np.asarray(value.values if isinstance(value, Ragged) else value)
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
