"""A checkpoint that was loaded: the model, its signatures, and how each of them is run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager


@dataclass(frozen=True)
class GraphSource:
    """A signature's graph: a GraphDef, the node of each input, and what it has captured.

    `captured` holds by a placeholder's name the eager tensor that it stands for; `shapes` the
    shapes of those that are variables.
    """

    graph: Any
    inputs: Mapping[str, str]
    captured: Mapping[str, Any] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)

    @classmethod
    def of_function(cls, function: Any, names: Sequence[str]) -> GraphSource:
        """Return the graph of a concrete function whose first inputs have these names."""
        inputs = dict(zip(names, (tensor.op.name for tensor in function.inputs)))
        captured = {inside.op.name: outside for outside, inside in function.graph.captures}
        shapes = {id(v.handle): tuple(v.shape) for v in function.variables if hasattr(v, "handle")}
        return cls(
            function.graph.as_graph_def(add_shapes=True),
            inputs,
            captured,
            {name: shapes[id(h)] for name, h in captured.items() if id(h) in shapes},
        )


@dataclass(frozen=True)
class ArraySpec:
    """One input or output as the model declares it; None is a size that it leaves open."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def to_fact(self) -> list[Any]:
        """The form that `Facts.signatures` holds."""
        return [self.name, self.dtype, None if self.shape is None else list(self.shape)]


@dataclass(frozen=True)
class Signature:
    """One way to run a model: `run` takes arrays by input name and returns arrays by output name.

    `in_parts`: it takes a ragged input `x` as its values `x` and splits `x_1`, `x_2`, …
    `source` returns its graph, where there is one.
    """

    inputs: tuple[ArraySpec, ...]
    outputs: tuple[ArraySpec, ...]
    run: Callable[[Mapping[str, Any]], dict[str, Any]]
    in_parts: bool = False
    source: Callable[[], GraphSource] | None = None

    def to_fact(self) -> dict[str, list[list[Any]]]:
        """The form that `Facts.signatures` holds."""
        return {
            "inputs": [spec.to_fact() for spec in self.inputs],
            "outputs": [spec.to_fact() for spec in self.outputs],
        }


@dataclass(frozen=True)
class Loaded:
    """A model that was loaded: a Keras model, what `tf.saved_model.load` returns, or a session.

    `optimizers` are those that came back with it; where there are none, `no_optimizer` may explain
    why that is no fault. `state` holds the variables that running it may change; a `guard` puts
    back what is not held in variables. `notes` has a sentence for each signature that ran only in
    another loader than the one that loaded the model. `load_again` makes the same model from the
    file once more, where that can be done; the first time took `load_seconds` of CPU.
    `compile_config` is what the file holds of how the model is compiled.
    """

    model: Any
    library: Any
    signatures: Mapping[str, Signature]
    optimizers: tuple[Any, ...] = ()
    no_optimizer: str = ""
    state: tuple[Any, ...] = ()
    guard: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    notes: Mapping[str, str] = field(default_factory=dict)
    load_again: Callable[[], Any] | None = None
    load_seconds: float = 0.0
    compile_config: Mapping[str, Any] | None = None
    compile_failed: bool = False

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """A block after which the model is as it was before, whatever was run in it."""
        from checkpointd.golden import model_runner

        with model_runner.unchanged(self.state), self.guard():
            yield
