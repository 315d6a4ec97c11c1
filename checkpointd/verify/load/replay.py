"""Computes the outputs of a golden record again, in the way in which they were recorded."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd import golden
from checkpointd.golden import model_runner
from checkpointd.verify.load.inputs import feeding
from checkpointd.verify.load.loaders import saved_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from checkpointd.golden import Golden
    from checkpointd.verify.load.loaded import Loaded

_NOTHING = "Nothing in it takes the golden inputs: record those of the signature that is served."


@dataclass(frozen=True)
class Replay:
    """One way to compute golden outputs again; `label` is a prefix for its messages.

    `compute` may move a state on (a random seed, a recurrent cell): `run` starts from the state
    that was loaded, and leaves it so. `quick` computes the same in less time, where there is such a
    way; only what it finds equal counts.
    """

    loaded: Loaded
    expected: Mapping[str, Any]
    compute: Callable[[], Mapping[str, Any]]
    label: str = ""
    quick: Callable[[], Mapping[str, Any]] | None = None

    def run(self) -> Mapping[str, Any]:
        """Compute the outputs as the first run after loading does."""
        with self.loaded.unchanged():
            return self.compute()

    def run_quickly(self) -> Mapping[str, Any] | None:
        """Compute the outputs in the quick way; None where there is none, or it fails."""
        if self.quick is None:
            return None
        try:
            with self.loaded.unchanged():
                return self.quick()
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - then the way in which they were recorded decides
            return None

    def run_second_time(self) -> Mapping[str, Any]:
        """Compute the outputs as the second run after loading does."""
        with self.loaded.unchanged():
            self.compute()
            return self.compute()


def plan(loaded: Loaded, record: Golden) -> list[Replay] | str:
    """Find every way to compute what was recorded.

    Returns:
        At least one, or why nothing in a SavedModel takes the golden inputs.

    Raises:
        Exception: whatever the model raises.
    """
    if loaded.library is not None or not loaded.signatures:
        quick = _quick(loaded, record)
        return [Replay(loaded, record.outputs, lambda: _called(loaded, record), quick=quick)]
    replays = _served(loaded, record)
    if record.outputs and (record.signatures or not replays):
        replays = [*_by_call(loaded, record), *replays]
    return replays or _NOTHING


def _called(loaded: Loaded, record: Golden) -> dict[str, Any]:
    given = golden.assemble(record.inputs, record.input_structure)
    compiled = record.compiled and loaded.library is not None
    return dict(golden.name_outputs(model_runner.call(loaded.model, given, compiled=compiled))[0])


def _quick(loaded: Loaded, record: Golden) -> Callable[[], Mapping[str, Any]] | None:
    """What Keras's `predict` does for one batch, without the data set that it makes of it.

    That data set takes longer than everything else of a small model's replay.
    """
    kind = type(loaded.model)
    own = any("predict" in one.__dict__ and not _is_of_keras(one) for one in kind.__mro__)
    if not record.compiled or loaded.library is None or own:
        return None

    def run() -> dict[str, Any]:
        given = golden.assemble(record.inputs, record.input_structure)
        return dict(golden.name_outputs(loaded.model.predict_on_batch(given))[0])

    return run


def _is_of_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("keras", "tf_keras")


def _served(loaded: Loaded, record: Golden) -> list[Replay]:
    """The signatures: those that were recorded; else those in which Keras puts the model itself."""
    replays: list[Replay] = []
    runs = {name: run for name, run in record.signatures.items() if run.outputs}
    names = runs or ([] if record.signatures else feeding.OF_KERAS)
    for name in names:
        signature = loaded.signatures.get(name)
        if signature is None:
            if name in runs:
                replays.append(Replay(loaded, runs[name].outputs, dict, f"{name}: "))
            continue
        given = runs[name].inputs if name in runs else record.inputs
        expected = runs[name].outputs if name in runs else record.outputs
        by_name = record.input_structure == golden.DICT
        feed = feeding.fitted(given, signature, by_name=by_name)
        declared = {spec.name for spec in signature.outputs}
        single = len(expected) == len(declared) == 1
        if feed is not None and (single or declared == set(expected)):
            label = f"{name}: " if replays or name in runs else ""
            run = functools.partial(signature.run, feed.arrays)
            replays.append(Replay(loaded, expected, run, label))
    return replays


def _by_call(loaded: Loaded, record: Golden) -> list[Replay]:
    """The callables in a SavedModel that take the golden inputs: the first that does."""
    import tensorflow as tf

    given = golden.assemble(record.inputs, record.input_structure)
    tensors = tf.nest.map_structure(model_runner.tensor_of, given)
    for function in saved_model.callables(loaded.model):
        replay = Replay(loaded, record.outputs, functools.partial(_named, function, tensors))
        try:
            replay.run()
        except (TypeError, ValueError, golden.GoldenError):  # made for other arguments
            continue
        return [replay]
    return []


def _named(function: Callable[[Any], Any], given: Any) -> Mapping[str, Any]:
    return golden.name_outputs(function(given))[0]
