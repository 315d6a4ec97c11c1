"""Finds what a model computes with and is not in the file: it is another one at each load.

Every weight of the model that came back is searched among the stored tensors, by its values. A
layer of the user's may hold more than its weights (a variable that Keras does not track, random
numbers that it drew when it was made), and only a second load shows that: where two loads give
different outputs for the same inputs, and a third one others again, that is reported. What is
random whenever it runs, or keeps a state between runs, proves nothing that way, and neither does
code that seeds the random generators when it is imported.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.core.check_result import CheckResult, failed
from checkpointd.core.format_specs import Format
from checkpointd.golden import backends, model_runner
from checkpointd.golden.arrays import Ragged
from checkpointd.verify.keras_files.keras_names import KERAS
from checkpointd.verify.load import runtime, train_step
from checkpointd.verify.load.inputs import feeding, made_inputs
from checkpointd.verify.load.loaders import keras_signature
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from checkpointd.verify.load.context import LoadContext
    from checkpointd.verify.load.loaded import Loaded

_SHORT, _LONG = 2.0, 60.0
"""Seconds of CPU that a load may take to be repeated: for any reason, and to check a weight."""

_MOST_TRIES = 3
_SEEDS = (20, 21)
_NEAR, _NEAR_16 = 1e-4, 3e-2
"""By how much of an output's size two runs of the same weights may differ on one machine."""

_SHOWN = 3


def check(context: LoadContext) -> CheckResult | None:
    """Load once more where something may not be in the file; None when it all seems to be."""
    loaded = context.loaded
    if loaded is None or loaded.load_again is None or context.seeded:
        return None
    if context.record is not None and (context.record.outputs or context.record.signatures):
        return None  # `predictions` compares with what the original gave
    unrestored = unrestored_weights(context)
    limit = _LONG if unrestored else _SHORT if runtime.has_user_code(loaded.model) else 0.0
    if loaded.load_seconds > limit or not train_step.has_room(loaded.model):
        return None
    try:
        return _compared(context, loaded, unrestored)
    except Exception:  # noqa: BLE001 - `inference` reports what a model raises
        return None


def _compared(context: LoadContext, loaded: Loaded, unrestored: list[int]) -> CheckResult | None:
    run = _first_run(context, loaded)
    second = _load_again(context, loaded, _SEEDS[0])
    weights = _differing(loaded.model, second.model, unrestored)
    if weights and _may_be_stored_under_optimizer(context, loaded.model, unrestored):
        return failed(
            "load",
            "environment",
            printable(
                f"{', '.join(weights[:_SHOWN])}: not restored, and the checkpoint holds as many "
                "tensors of these shapes that nothing took up, perhaps under its optimizer: let "
                "the builder return the compiled model, with its optimizer built."
            ),
            not_restored=weights,
        )
    if not weights and (run is None or not _differ(run.outputs, run.on(second))):
        return None
    third = _load_again(context, loaded, _SEEDS[1])
    weights = [n for n in weights if n in _differing(second.model, third.model, unrestored)]
    differs = run is not None and _is_another_each_time(run, loaded, second, third)
    if not differs and not weights:
        return None
    held = [*weights, *_untracked(loaded.model, second.model)]
    named = ", ".join(held[:_SHOWN]) + (" and more" if len(held) > _SHOWN else "")
    what = f"Not in the file: {named}." if named else "No weight of it differs."
    what_differs = "gives other outputs for the same inputs" if differs else "has other weights"
    return failed(
        "load",
        "not_restored",
        printable(
            f"It {what_differs} each time that it is loaded, so it computes with something that "
            f"the file does not hold. {what}"
        ),
        not_restored=held,
    )


@dataclass(frozen=True)
class _Run:
    """One signature of a model on inputs that it takes, and what it gave twice from one state."""

    name: str
    arrays: Sequence[Any]
    outputs: Mapping[str, Any]

    def on(self, loaded: Loaded) -> Mapping[str, Any]:
        """Run the same on another model, and leave that as it was."""
        with loaded.unchanged():
            return self.leaving_state(loaded)

    def leaving_state(self, loaded: Loaded) -> Mapping[str, Any]:
        """Run it, whatever state that leaves; a builder's layers have other names each time."""
        signature = loaded.signatures[self.name]
        return signature.run(dict(zip((spec.name for spec in signature.inputs), self.arrays)))


def _first_run(context: LoadContext, loaded: Loaded) -> _Run | None:
    """Run the model twice from the same state; None where it cannot be, or is random."""
    for name, signature in loaded.signatures.items():
        for feed in _feeds(context, signature):
            with contextlib.suppress(Exception):  # another size of what is open may fit
                arrays = [feed.arrays[spec.name] for spec in signature.inputs]
                run = _Run(name, arrays, {})
                outputs = run.on(loaded)
                return None if _differ(outputs, run.on(loaded)) else _Run(name, arrays, outputs)
    return None


def _feeds(context: LoadContext, signature: Any) -> Iterator[feeding.Feed]:
    recorded = feeding.from_record(context.record, signature)
    if recorded is not None:
        yield recorded
    elif signature.inputs:
        with contextlib.suppress(made_inputs.CannotMakeError):
            yield from itertools.islice(made_inputs.tries(signature), _MOST_TRIES)


def _load_again(context: LoadContext, loaded: Loaded, seed: int) -> Loaded:
    """Load the same file once more, under another seed."""
    assert loaded.load_again is not None  # noqa: S101 - `check` has tested it
    runtime.restart_names(loaded.library)
    seeding = getattr(getattr(loaded.library, "utils", None), "set_random_seed", None)
    if callable(seeding):
        seeding(seed)
    return keras_signature.wrap(loaded.load_again(), loaded.library, context.record)


def _is_another_each_time(run: _Run, first: Loaded, second: Loaded, third: Loaded) -> bool:
    outputs = [run.outputs, run.on(second), run.on(third)]
    pairs = ((0, 1), (0, 2), (1, 2))
    if not all(_differ(outputs[i], outputs[j]) for i, j in pairs):
        return False
    with first.unchanged():  # twice in a row, with whatever state the first run leaves
        run.leaving_state(first)
        return not _differ(run.outputs, run.leaving_state(first))


def unrestored_weights(context: LoadContext) -> list[int]:
    """Find the weights of the loaded model that no stored tensor holds, by their number."""
    return _matched(context)[0]


def _may_be_stored_under_optimizer(context: LoadContext, model: Any, unrestored: list[int]) -> bool:
    """Whether a bundle holds a tensor that nothing took up for each weight without a value.

    Keras 3 may store a weight under its optimizer alone, where only that finds it again.
    """
    if context.facts.format is not Format.TF_CHECKPOINT:
        return False
    left = Counter(shape for shape, _ in _matched(context)[1].elements())
    weights = _weights(model)
    needed = Counter(tuple(int(n) for n in weights[number].shape) for number in unrestored)
    return all(left[shape] >= count for shape, count in needed.items())


def _matched(context: LoadContext) -> tuple[list[int], Counter[tuple[tuple[int, ...], int]]]:
    """Match weights with stored tensors: those without one, and the shapes and CRC-32 left."""
    facts, loaded = context.facts, context.loaded
    if facts.other_tensors is None or loaded is None:
        return [], Counter()
    tensors = (*facts.other_tensors, *(facts.optimizer_tensors or ()))
    stored = Counter((tuple(d.shape), d.crc32) for d in tensors)
    unmatched = []
    for number, weight in enumerate(_weights(loaded.model)):
        values = np.asarray(backends.numpy_of(weight))
        if values.dtype.kind in "OSU":
            continue
        digest = golden.digest_of("", values)
        key = (tuple(digest.shape), digest.crc32)
        if stored[key]:
            stored[key] -= 1
        else:
            unmatched.append(number)
    return unmatched, stored


def _weights(model: Any) -> list[Any]:
    """The weights of a model, each once; in Keras they leave out seeds and metrics."""
    kind = "weights" if hasattr(type(model), "weights") else "variables"
    return list({id(v): v for v in model_runner.variables_of(model, kind)}.values())


def _differing(one: Any, other: Any, numbers: list[int]) -> list[str]:
    """Name the trained weights, of those with these numbers, that differ between two models."""
    first, second = _weights(one), _weights(other)
    if len(first) != len(second):
        return []
    trained = {id(v) for v in model_runner.variables_of(one, "trainable_variables")}
    return [
        repr(str(getattr(first[n], "path", getattr(first[n], "name", "a weight"))))
        for n in numbers
        if id(first[n]) in trained
        and not np.array_equal(backends.numpy_of(first[n]), backends.numpy_of(second[n]))
    ]


def _untracked(one: Any, other: Any) -> list[str]:
    """Name the arrays and variables in layers of the user's that differ between two models."""
    known = {id(getattr(v, "_value", v)) for v in model_runner.variables_of(one)}
    names: dict[str, None] = {}
    for layer, twin in zip(runtime.layers_of(one), runtime.layers_of(other)):
        if type(layer).__module__.partition(".")[0] in KERAS:
            continue
        for name, value in vars(layer).items():
            is_array = isinstance(value, np.ndarray) or callable(getattr(value, "numpy", None))
            if not is_array or id(getattr(value, "_value", value)) in known:
                continue
            with contextlib.suppress(Exception):
                mine = np.asarray(backends.numpy_of(value))
                if not np.array_equal(mine, backends.numpy_of(vars(twin)[name])):
                    names[f"{name!r} of the layer {getattr(layer, 'name', '')!r}"] = None
    return list(names)


def _differ(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two runs gave what is not the same but for rounding."""
    return len(before) != len(after) or any(map(_far, before.values(), after.values()))


def _far(before: Any, after: Any) -> bool:
    if isinstance(before, Ragged) and isinstance(after, Ragged):
        before, after = before.values, after.values
    first, second = np.asarray(before), np.asarray(after)
    if first.shape != second.shape:
        return True
    near = _NEAR_16 if first.dtype.kind == "V" or first.dtype.itemsize == 2 else _NEAR  # noqa: PLR2004
    if first.dtype.kind == "V":
        first, second = first.astype(np.float32), second.astype(np.float32)
    if first.dtype.kind not in "fc":
        return not np.array_equal(first, second)
    finite = np.isfinite(first)
    if not np.array_equal(finite, np.isfinite(second)):
        return True
    first, second = first[finite].astype(np.complex128), second[finite].astype(np.complex128)
    size = float(np.sqrt(np.mean(np.abs(first) ** 2))) if first.size else 0.0
    return bool(np.any(np.abs(first - second) > near * size + 1e-9))
