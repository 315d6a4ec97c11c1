"""The check `signatures`: those that are required are there, and none changed in the series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.verify.load.context import LoadContext


def check(context: LoadContext) -> CheckResult:
    """Compare the signatures with `required_signatures` and the series' last valid checkpoint."""
    if context.loaded is None:
        return skipped("signatures", context.nothing_loaded)
    present = {name: s.to_fact() for name, s in context.loaded.signatures.items()}
    context.learn(signatures=present)
    missing = [n for n in context.request.settings.required_signatures if n not in present]
    if missing:
        there = ", ".join(sorted(present)) or "none"
        return failed(
            "signatures",
            "missing_signature",
            f"It has no signature {printable(', '.join(missing))} (there is: {printable(there)}): "
            "export the model with it.",
            missing=missing,
        )
    previous = context.request.previous
    if previous is None or not previous.facts.signatures:
        return passed("signatures", signatures=sorted(present))
    changes = differences(previous.facts.signatures, present)
    if changes:
        return failed(
            "signatures",
            "signature_changed",
            f"It differs from {printable(previous.path)!r}: {printable('; '.join(changes))}.",
            changes=changes,
        )
    return passed("signatures", signatures=sorted(present))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Describe how two sets of signatures differ; both as in `Facts.signatures`."""
    sentences = [f"the signature {name!r} is gone" for name in sorted(set(before) - set(now))]
    sentences += [f"the signature {name!r} is new" for name in sorted(set(now) - set(before))]
    for name in sorted(set(before) & set(now)):
        for side in ("inputs", "outputs"):
            sentences += _side(
                f"{name}'s {side[:-1]}", before[name].get(side, ()), now[name].get(side, ())
            )
    return sentences


def _side(noun: str, before: Iterable[Any], now: Iterable[Any]) -> list[str]:
    old = {entry[0]: (entry[1], entry[2]) for entry in before}
    new = {entry[0]: (entry[1], entry[2]) for entry in now}
    sentences = [f"{noun} {name!r} is gone" for name in sorted(set(old) - set(new))]
    sentences += [f"{noun} {name!r} is new" for name in sorted(set(new) - set(old))]
    for name in sorted(set(old) & set(new)):
        if old[name] != new[name]:
            sentences.append(
                f"{noun} {name!r} was {_describe(old[name])} and is {_describe(new[name])}"
            )
    return sentences


def _describe(spec: tuple[str, Any]) -> str:
    dtype, shape = spec
    return f"{dtype} {shape if shape is not None else 'of any shape'}"
