"""The schema of config.toml: frozen, validated settings with a safe default for everything."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    model_validator,
)

from checkpointd.config.features import MAX_FEATURES, Features
from checkpointd.config.section import Location, Text, location
from checkpointd.config.section import Section as _Section
from checkpointd.config.units import parse_duration, parse_size
from checkpointd.config.web import WebSettings
from checkpointd.core import verify_settings
from checkpointd.core.checkpoint import SHOWS
from checkpointd.core.verify_settings import VerifySettings

Duration = Annotated[float, BeforeValidator(parse_duration)]
Never = Annotated[
    float | None, BeforeValidator(lambda v: None if v == "never" else parse_duration(v))
]
"""A duration, or `"never"`."""

Size = Annotated[int, BeforeValidator(parse_size)]
Count = Annotated[int, Field(strict=True, ge=1)]
Flag = Annotated[bool, Field(strict=True)]
Tolerance = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _one_of(names: tuple[str, ...], what: str) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"is no {what}; there are {', '.join(names)}")
        return value

    return AfterValidator(check)


def _dotted(value: str) -> str:
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", value) is None:
        raise ValueError('expected the form "package.module:name"')
    return value


def _no_dots(value: str) -> str:
    if value in (".", ".."):
        raise ValueError("is no name, it is a directory in every directory")
    return value


def _template(value: str) -> str:
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(value) if name is not None]
    except ValueError as error:
        raise ValueError(f"is no file name template: {error}") from None
    if not fields or not all(fields):
        raise ValueError("expected named fields, such as {epoch:02d}")
    return value


def _own_name(value: str) -> str:
    if not verify_settings.is_check_name(value):
        raise ValueError("may hold only a-z, 0-9 and _, begin with a letter, be at most 32 long")
    return value


def _metric_name(value: str) -> str:
    if not verify_settings.is_metric_name(value):
        raise ValueError("is no metric: letters, digits and _ . : @ - only, at most 64")
    return value


Template = Annotated[Text, AfterValidator(_template)]
ShownName = Annotated[Text, _one_of(tuple(SHOWS.values()), "thing that a report shows")]
Dotted = Annotated[Text, AfterValidator(_dotted)]
OwnName = Annotated[Text, AfterValidator(_own_name)]
MetricName = Annotated[Text, AfterValidator(_metric_name)]


class DaemonSettings(_Section):
    """`[daemon]`: where the state lives and how the log looks."""

    state_dir: Location | None = None
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def _memory(value: object) -> object:
    return value if value == "auto" else parse_size(value)


class WorkerSettings(_Section):
    """`[worker]`: the limits of the processes that read and load checkpoints."""

    concurrency: Annotated[int, Field(strict=True, ge=1, le=64)] = 1
    timeout: Duration = 1800.0
    memory: Annotated[Literal["auto"] | int, BeforeValidator(_memory)] = "auto"
    idle_exit: Duration = 600.0
    sandbox: Literal["enforce", "best-effort"] = "enforce"


class DriftConfig(_Section):
    """`drift`: how far the weights may move from one checkpoint to the next."""

    max_norm_ratio: Annotated[float, Field(strict=True, gt=1, allow_inf_nan=False)] = 10.0


class EvaluateConfig(_Section):
    """`evaluate`: the user's function, or held-out data and the names of Keras metrics."""

    function: Dotted | None = None
    data: Location | None = None
    features: Features = Field(default_factory=dict, max_length=MAX_FEATURES)
    metrics: tuple[MetricName, ...] = Field(default=(), max_length=verify_settings.MAX_METRICS)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> EvaluateConfig:
        if (self.function is None) == (self.data is None):
            raise ValueError('expected "package.module:name", or { data = "held_out.npz" }')
        if self.function is not None and self.metrics:
            raise ValueError("metrics goes with data: a function names its metrics itself")
        return self


class BoundConfig(_Section):
    """`bounds.METRIC`: what a metric that `evaluate` gives has to be."""

    min: Number | None = None
    max: Number | None = None
    within_of_best: Tolerance | None = None
    mode: Literal["min", "max"] | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> BoundConfig:
        if self.min is None and self.max is None and self.within_of_best is None:
            raise ValueError("needs at least one of min, max, within_of_best")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing can be between")
        return self


class OwnCheckConfig(_Section):
    """`[[watch.verify.checks]]`: a check of the user's own; without a function an entry point."""

    name: OwnName
    function: Dotted | None = None
    stage: Literal["scan", "load"] = "load"


def _evaluate(value: object) -> object:
    return {"function": value} if isinstance(value, str) else value


def direction(metric: str, bound: Any) -> str:
    """Which way a metric is better, `min` or `max`; empty if neither bound nor name says it.

    Args:
        metric: its name.
        bound: a `BoundConfig`, or anything with its `mode`, `min` and `max`.
    """
    if bound.mode:
        return str(bound.mode)
    if (bound.min is None) != (bound.max is None):
        return verify_settings.MAX if bound.max is None else verify_settings.MIN
    return verify_settings.better(metric)


class VerifyConfig(_Section):
    """`[watch.verify]`: how strictly, and with what help, a checkpoint is verified."""

    atol: Tolerance = 1e-6
    rtol: Tolerance = 1e-5
    cross_atol: Tolerance | None = None
    cross_rtol: Tolerance | None = None
    custom_objects: dict[str, Dotted] = Field(default_factory=dict)
    python_path: tuple[Location, ...] = ()
    read_paths: tuple[Location, ...] = ()
    python: Location | None = None
    builder: Dotted | None = None
    allow_code: Flag = False
    allow_signatures: tuple[Text, ...] = ()
    required_signatures: tuple[Text, ...] = ()
    fail_on: tuple[Text, ...] = ()
    skip: tuple[Text, ...] = ()
    ignore_tensors: tuple[Text, ...] = ()
    drift: DriftConfig = Field(default_factory=DriftConfig)
    evaluate: Annotated[EvaluateConfig | None, BeforeValidator(_evaluate)] = None
    bounds: dict[MetricName, BoundConfig] = Field(
        default_factory=dict, max_length=verify_settings.MAX_METRICS
    )
    checks: tuple[OwnCheckConfig, ...] = Field(default=(), max_length=verify_settings.MAX_CHECKS)

    def to_settings(self) -> VerifySettings:
        """The plain words that travel to the worker."""
        return VerifySettings(
            atol=self.atol,
            rtol=self.rtol,
            cross_atol=self.cross_atol,
            cross_rtol=self.cross_rtol,
            custom_objects=dict(self.custom_objects),
            python_path=tuple(str(p) for p in self.python_path),
            read_paths=tuple(str(p) for p in self.read_paths),
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
                verify_settings.OwnCheck(c.name, c.function or "", c.stage) for c in self.checks
            ),
        )

    def _evaluation(self) -> verify_settings.Evaluation:
        given = self.evaluate
        if given is None:
            return verify_settings.Evaluation()
        data = str(given.data) if given.data else ""
        return verify_settings.Evaluation(
            given.function or "", data, given.metrics, dict(given.features)
        )


class KeepBest(_Section):
    """`keep_best`: the `n` best by a metric; NaN and missing are never best."""

    n: Count
    metric: Text
    mode: Literal["min", "max"]


class RetentionSettings(_Section):
    """`[watch.retention]`: what is kept; rules are combined by OR."""

    mode: Literal["off", "dry-run", "enforce"] = "dry-run"
    require: tuple[ShownName, ...] = ("intact",)
    keep_last: Count | None = None
    keep_hourly: Count | None = None
    keep_daily: Count | None = None
    keep_within: Duration | None = None
    keep_every_n_steps: Count | None = None
    keep_best: KeepBest | None = None
    keep_min_valid: Count = 2
    trash_ttl: Duration = 72 * 3600.0
    quarantine_ttl: Duration | None = None

    @property
    def has_rules(self) -> bool:
        """Whether any rule keeps anything; without one nothing is ever pruned."""
        return any(
            rule is not None
            for rule in (
                self.keep_last,
                self.keep_hourly,
                self.keep_daily,
                self.keep_within,
                self.keep_every_n_steps,
                self.keep_best,
            )
        )

    @model_validator(mode="after")
    def _enforces_something(self) -> RetentionSettings:
        if self.mode == "enforce" and not self.has_rules:
            raise ValueError('mode = "enforce" needs at least one keep_ rule')
        return self


def _switch_or_location(value: object) -> object:
    return value if isinstance(value, bool) else location(value)


Published = Annotated[bool | Path, BeforeValidator(_switch_or_location)]
"""Off, on in the state directory, or a directory; `load` makes a directory of the second."""


class PublishSettings(_Section):
    """`[watch.publish]`: verdicts for consumers that cannot ask the daemon."""

    verdict_file: Published = False
    latest_link: Published = False
    require: tuple[ShownName, ...] = ()


class HookSettings(_Section):
    """`[watch.hooks]`: commands that are told about verdicts."""

    on_verdict: tuple[Text, ...] = ()


class WatchSettings(_Section):
    """`[[watch]]`: one root directory and how it is treated."""

    name: Annotated[
        Text,
        StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=64),
        AfterValidator(_no_dots),
    ]
    path: Location
    method: Literal["auto", "inotify", "poll"] = "auto"
    poll_interval: Duration = 10.0
    settle: Duration = 5.0
    torn_after: Duration = 900.0
    scrub_every: Never = 30 * 86400.0
    include: tuple[Text, ...] = ("**",)
    exclude: tuple[Text, ...] = ()
    version: Template | None = None
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    publish: PublishSettings = Field(default_factory=PublishSettings)
    hooks: HookSettings = Field(default_factory=HookSettings)

    @property
    def verdict_directory(self) -> Path | None:
        """Where a file for each verdict is written; set by `load`."""
        base = self.publish.verdict_file
        return base / self.name if isinstance(base, Path) else None

    @property
    def link_directory(self) -> Path | None:
        """Where each series has a directory with its `latest-valid`; set by `load`."""
        base = self.publish.latest_link
        return base / self.name if isinstance(base, Path) else None


class Config(_Section):
    """The whole config.toml, resolved: every path is absolute."""

    daemon: DaemonSettings = Field(default_factory=DaemonSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    watch: tuple[WatchSettings, ...] = ()

    @property
    def state_dir(self) -> Path:
        """Where ledger, scratch and the control socket are; set by `load`."""
        if self.daemon.state_dir is None:
            raise AssertionError("load() resolves state_dir")
        return self.daemon.state_dir

    def to_public(self) -> dict[str, Any]:
        """What `config show` prints."""
        return self.model_dump(mode="json", exclude_none=True)
