"""The schema of `[watch.verify]`, and what of it is sent to the workers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from checkpointd.config.features import MAX_FEATURES, Features
from checkpointd.config.section import Section
from checkpointd.config.types import (
    CheckName,
    Dotted,
    Flag,
    Location,
    MetricName,
    Number,
    SchemaAlternative,
    Text,
    Tolerance,
)
from checkpointd.core import verify_settings
from checkpointd.core.verify_settings import VerifySettings


class DriftConfig(Section):
    """`drift`: how far the weights may move from one checkpoint to the next."""

    max_norm_ratio: Annotated[float, Field(strict=True, gt=1, allow_inf_nan=False)] = 10.0
    """Warn if a tensor's norm is more than this many times that in the last valid one."""


class EvaluateConfig(Section):
    """`evaluate`: the user's function, or held-out data and the names of Keras metrics."""

    function: Dotted | None = None
    """A function `(model) -> {metric: number}`; short: `evaluate = "package.module:name"`."""

    data: Location | None = None
    """Held-out data instead of a function: an `.npz` file, or a TFRecord with `features`."""

    features: Features = Field(default_factory=dict, max_length=MAX_FEATURES)
    """The dtype and shape of each array in a TFRecord, such as `{ inputs = "float32[6]" }`."""

    metrics: tuple[MetricName, ...] = Field(default=(), max_length=verify_settings.MAX_METRICS)
    """Names of Keras metrics or losses; without them those that the model was compiled with."""

    @model_validator(mode="after")
    def _has_either(self) -> EvaluateConfig:
        if (self.function is None) == (self.data is None):
            raise ValueError('expected "package.module:name", or { data = "held_out.npz" }')
        if self.function is not None and self.metrics:
            raise ValueError("metrics goes with data: a function names its metrics itself")
        return self


class BoundConfig(Section):
    """`bounds.METRIC`: the limits of a metric that `evaluate` computes."""

    min: Number | None = None
    """The least value."""

    max: Number | None = None
    """The largest value."""

    within_of_best: Tolerance | None = None
    """How much worse than the best valid checkpoint of the series it may be."""

    mode: Literal["min", "max"] | None = None
    """Which way is better, where neither the metric's name nor its bound shows it."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> BoundConfig:
        if self.min is None and self.max is None and self.within_of_best is None:
            raise ValueError("needs at least one of min, max, within_of_best")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: no value can be between")
        return self


class UserCheckConfig(Section):
    """`[[watch.verify.checks]]`: a user's check; without a function it is an entry point."""

    name: CheckName
    """Its name: `a-z`, `0-9` and `_`, 32 characters at most. Its reasons are `NAME.WORD`."""

    function: Dotted | None = None
    """A function `check(context)` on `python_path`; without it the entry point of that name."""

    stage: Literal["scan", "load"] = "load"
    """`load`: with the loaded model. `scan`: before it, without TensorFlow."""


def _function_or_table(value: object) -> object:
    return {"function": value} if isinstance(value, str) else value


Evaluate = Annotated[
    EvaluateConfig,
    BeforeValidator(_function_or_table),
    SchemaAlternative({"type": "string"}, '`"module:name"`, or a table'),
]


def direction(metric: str, bound: Any) -> str:
    """Return which way a metric is better, `min` or `max`; empty if nothing shows it.

    Args:
        metric: its name.
        bound: a `BoundConfig`, or anything with its `mode`, `min` and `max`.
    """
    if bound.mode:
        return str(bound.mode)
    if (bound.min is None) != (bound.max is None):
        return verify_settings.MAX if bound.max is None else verify_settings.MIN
    return verify_settings.better(metric)


class VerifyConfig(Section):
    """`[watch.verify]`: how strictly, and with what help, a checkpoint is verified."""

    atol: Tolerance = 1e-6
    """Absolute tolerance of `predictions`: `atol + rtol * abs(golden)`."""

    rtol: Tolerance = 1e-5
    """Relative tolerance of `predictions`."""

    cross_atol: Tolerance | None = None
    """`atol` on another device, backend or CPU family; by default what rounding explains."""

    cross_rtol: Tolerance | None = None
    """`rtol` on another device, backend or CPU family; by default what rounding explains."""

    custom_objects: dict[str, Dotted] = Field(default_factory=dict)
    """Your layers, losses and metrics by name, each as `"package.module:name"`."""

    python_path: tuple[Location, ...] = ()
    """Directories from which your code is imported."""

    signature_key: Annotated[Location | None, Field(json_schema_extra={"x-since": "0.2"})] = None
    """A public key in PEM: where OpenSSF Model Signing has signed a checkpoint, it must hold."""

    read_paths: tuple[Location, ...] = ()
    """Files and directories that your code may read besides; the sandbox refuses all others."""

    python: Location | None = None
    """The training job's own interpreter, to load under; by default checkpointd's."""

    builder: Dotted | None = None
    """A function that returns the model to load weights-only checkpoints into, as `module:name`."""

    allow_code: Flag = False
    """Load models that hold Python code, such as Lambda layers. Only if you trust their writer."""

    allow_signatures: tuple[Text, ...] = ()
    """Signatures that may read and write files whose paths they are given, such as `"save"`."""

    required_signatures: tuple[Text, ...] = ()
    """Signatures that a SavedModel must have, such as `"serving_default"`."""

    fail_on: tuple[Text, ...] = ()
    """Checks whose warnings make a checkpoint invalid, such as `"drift"`."""

    skip: tuple[Text, ...] = ()
    """Checks that are not run."""

    ignore_tensors: tuple[Text, ...] = ()
    """Globs of tensors that may hold NaN or Inf and may drift."""

    drift: DriftConfig = Field(default_factory=DriftConfig)
    """Limits of the `drift` check."""

    evaluate: Evaluate | None = None
    """Computes metrics: `"package.module:name"`, or held-out data."""

    bounds: dict[MetricName, BoundConfig] = Field(
        default_factory=dict, max_length=verify_settings.MAX_METRICS
    )
    """Limits of the metrics that `evaluate` computes, by metric."""

    checks: tuple[UserCheckConfig, ...] = Field(default=(), max_length=verify_settings.MAX_CHECKS)
    """Your own checks, one table each."""

    def to_settings(self) -> VerifySettings:
        """Return the settings that are sent to the worker."""
        return VerifySettings(
            atol=self.atol,
            rtol=self.rtol,
            cross_atol=self.cross_atol,
            cross_rtol=self.cross_rtol,
            custom_objects=dict(self.custom_objects),
            python_path=tuple(str(p) for p in self.python_path),
            read_paths=tuple(str(p) for p in self.read_paths),
            signature_key=str(self.signature_key) if self.signature_key else "",
            python=str(self.python) if self.python else "",
            builder=self.builder or "",
            allow_code=self.allow_code,
            allow_signatures=self.allow_signatures,
            required_signatures=self.required_signatures,
            fail_on=self.fail_on,
            skip=self.skip,
            ignore_tensors=self.ignore_tensors,
            drift=verify_settings.DriftLimits(self.drift.max_norm_ratio),
            evaluate=self._evaluation(),
            bounds={
                name: verify_settings.Bound(b.min, b.max, b.within_of_best, direction(name, b))
                for name, b in self.bounds.items()
            },
            checks=tuple(
                verify_settings.UserCheck(c.name, c.function or "", c.stage) for c in self.checks
            ),
        )

    def _evaluation(self) -> verify_settings.Evaluation:
        evaluate = self.evaluate
        if evaluate is None:
            return verify_settings.Evaluation()
        data = str(evaluate.data) if evaluate.data else ""
        return verify_settings.Evaluation(
            evaluate.function or "", data, evaluate.metrics, dict(evaluate.features)
        )
