"""One of the two checkpoints that `checkpointd diff` compares, read once for its statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.format_specs import Format
from checkpointd.formats import FormatError
from checkpointd.tensors import MODEL, OTHER, baseline, roles
from checkpointd.tensors.reading import ReadPlan, plan, read
from checkpointd.tensors.statistics import item_size
from checkpointd.verify.keras_files import keras_config
from checkpointd.verify.scan.diff.pairs import Tensor
from checkpointd.verify.scan.inspect import described

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.core.request import Request
    from checkpointd.tensors import Contents, TensorSpec, TensorStats
    from checkpointd.verify.keras_files.keras_config import KerasConfig


@dataclass(frozen=True)
class Side:
    """One of the two checkpoints, read."""

    planned: ReadPlan
    contents: Contents
    config: KerasConfig
    signatures: Mapping[str, Any] | None
    tensors: Sequence[Tensor]

    @property
    def facts(self) -> dict[str, Any]:
        """What it is, for the reader."""
        return {
            "path": self.planned.path,
            "format": str(self.planned.format),
            "writer": self.config.writer,
            "tensors": len(self.tensors),
            "bytes": sum(s.size_bytes for s in self.planned.specs),
        }

    def stats(self, tensor: Tensor) -> TensorStats:
        """What was counted in a tensor."""
        return self.contents.tensors[tensor.number]


def read_side(request: Request, *, weights_only: bool) -> Side:
    """Read one of the two; its `planned` is open, and is the caller's to close.

    Args:
        request: its settings do not matter.
        weights_only: leave out what is not a weight of the model.

    Raises:
        checkpointd.formats.FormatError: it cannot be compared.
        OSError: it could not be read.
    """
    path, generation = request.checkpoint.path, request.generation
    planned = plan(path, request.checkpoint.format, generation)
    if planned.format is Format.UNKNOWN:
        raise FormatError("not_a_checkpoint", "It holds no Keras model and no weights.")
    if planned.filters:
        raise FormatError("unreadable", f"Its values are packed by {', '.join(planned.filters)}.")
    contents = read(planned)
    signatures = None
    if planned.format is Format.SAVEDMODEL:
        signatures = dict(described(path).signatures)
    # Keras 3's `export` stores each variable of the model twice.
    weights = {id(spec): name for name, spec in baseline.model_tensors(planned.specs).items()}
    specs = planned.specs
    tensors = [
        Tensor(
            number=number,
            name=weights.get(id(spec), spec.name),
            key=spec.key,
            layer=spec.layer,
            role=_role(spec),
            dtype=spec.dtype,
            shape=spec.shape,
            content=_content(contents.tensors[number]),
        )
        for number, spec in enumerate(specs)
        if (id(spec) in weights or spec.role != MODEL)
        and (_role(spec) == MODEL or not weights_only)
    ]
    config = keras_config.read(path, planned.format)
    return Side(planned, contents, config, signatures, tensors)


def _role(spec: TensorSpec) -> str:
    """The role of a tensor; an exported model's key does not show the state of a generator."""
    return OTHER if roles.is_random_state(spec.name) else spec.role


def _content(stats: TensorStats) -> int | None:
    return None if item_size(stats.dtype) is None else stats.crc32
