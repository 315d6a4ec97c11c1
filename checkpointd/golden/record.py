"""The golden record: what a training job gave its model, what came out, and where that was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.report import Digest
    from checkpointd.golden.arrays import Array

SINGLE, LIST, DICT = "single", "list", "dict"
"""How inputs are fed and outputs come: one array, several in order, or several by name."""


class GoldenError(Exception):
    """A golden record that cannot be used; the message explains why and what to do."""


@dataclass(frozen=True)
class SignatureRun:
    """What one signature of a SavedModel was given, by argument name, and what it gave."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


@dataclass(frozen=True)
class Golden:
    """Inputs, the outputs that the model gave for them, and what was true at that moment.

    `compiled` is how the outputs were computed: by `predict` with the inputs as one batch, or
    by an eager call. `input_structure` and `output_structure` are SINGLE, LIST or DICT.
    `binding` is what `binding_of` must give for the checkpoint that the record belongs to, and
    `content` what `content_of` gave when it was saved, empty in older records.
    `labels` and `sample_weights` are what the job trains against, empty where it gave none;
    `optimizer` is its optimizer's `class_name` and `config`, as Keras gives them, or empty.
    `stochastic`: two runs in a row from the same state gave different outputs.
    `signatures` holds what single signatures of a SavedModel were given and gave.
    """

    inputs: Mapping[str, Array] = field(default_factory=dict)
    outputs: Mapping[str, Array] = field(default_factory=dict)
    labels: Mapping[str, Array] = field(default_factory=dict)
    sample_weights: Mapping[str, Array] = field(default_factory=dict)
    compiled: bool = False
    digests: tuple[Digest, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    binding: str = ""
    content: str = ""
    input_structure: str = SINGLE
    output_structure: str = SINGLE
    label_structure: str = SINGLE
    weight_structure: str = SINGLE
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    stochastic: bool = False
    signatures: Mapping[str, SignatureRun] = field(default_factory=dict)
