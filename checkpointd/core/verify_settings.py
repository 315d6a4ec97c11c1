"""The settings of one verification: the resolved `[watch.verify]`, as it is sent to a worker.

Limits of drift, an evaluation with its bounds, the user's checks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SUITE_VERSION = 4
"""Raised when a check judges differently: what was invalid or inconclusive is verified again."""

SCAN_STAGE, LOAD_STAGE = "scan", "load"
"""The process that a check runs in: the scan, without TensorFlow, or with the model loaded."""

ENTRY_POINTS = "checkpointd.checks"
"""The group of entry points in which installed packages offer checks."""

MAX_CHECKS = 32
MAX_METRICS = 20
"""How many checks of the user a watch may have, and how many metrics an evaluation may return."""

DTYPES = ("float32", "int64", "string")
RAW_DTYPES = (
    *("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64", "bool"),
)
"""What a `tf.train.Example` holds, and what may lie in it as bytes."""

MIN, MAX = "min", "max"
"""Which way a metric is better: the smaller, or the larger."""

_CHECK_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:@-]{0,63}")
_FEATURE_NAME = re.compile(r"(?:inputs|labels)(?:\.[^\x00-\x1f]{1,200})?|sample_weight")
_FEATURE = re.compile(
    r"(raw:)?(\w+)\[((?:\s*[0-9]{1,10}\s*(?:,\s*[0-9]{1,10}\s*){0,15})?|\s*)\]"
    r"(?:\s+from\s+([^\x00-\x20](?:[^\x00-\x1f]*[^\x00-\x20])?))?"
)
_MAX_ELEMENTS = 2**31 - 1
_SMALLER = re.compile(r"(?:^|_)(?:loss|error|mae|mse|mape|msle|rmse|perplexity|nll|wer|cer)(?:_|$)")
_LARGER = re.compile(
    r"(?:^|_)(?:acc|accuracy|auc|precision|recall|f1|iou|map|bleu|score|r2|dice)(?:_|$)"
)


def is_check_name(name: str) -> bool:
    """Whether a user's check may have this name: it becomes a label in Prometheus."""
    return _CHECK_NAME.fullmatch(name) is not None


def is_metric_name(name: str) -> bool:
    """Whether a metric may have this name: it becomes a label in Prometheus."""
    return _METRIC_NAME.fullmatch(name) is not None


def better(metric: str) -> str:
    """Return which way a metric is better by its name, MIN or MAX; empty where that is unclear."""
    name = metric.lower()
    if _SMALLER.search(name) or name.endswith(("loss", "error")):
        return MIN
    return MAX if _LARGER.search(name) or name.endswith("accuracy") else ""


@dataclass(frozen=True)
class DriftLimits:
    """How far weights may move from one checkpoint to the next.

    `max_norm_ratio` is how many times its former norm a tensor may have.
    """

    max_norm_ratio: float = 10.0


@dataclass(frozen=True)
class Bound:
    """The limits of a metric: a range, and a distance from the series' best; None: no limit.

    `mode` is which way it is better, MIN or MAX; it is set wherever `within_of_best` is.
    """

    min: float | None = None
    max: float | None = None
    within_of_best: float | None = None
    mode: str = ""


@dataclass(frozen=True)
class Feature:
    """A feature of a `tf.train.Example`: a dense tensor of one shape in every record.

    `key` is its name in the records. `raw`: it is one byte string, the little-endian
    elements of the tensor, as `numpy.ndarray.tobytes` and `tf.io.decode_raw` have them.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    raw: bool = False

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)


def is_feature_name(name: str) -> bool:
    """Whether held-out data may have an array of that name."""
    return _FEATURE_NAME.fullmatch(name) is not None


def parse_feature(name: str, text: str) -> Feature:
    """Parse a feature: `float32[6]`, `int64[]`, `raw:uint8[28,28] from image/raw`.

    Args:
        name: its name in the records, where the text has no `from`.
        text: its dtype and shape.

    Raises:
        ValueError: it is not a feature; the message has the syntax.
    """
    match = _FEATURE.fullmatch(text)
    if match is None:
        raise ValueError(
            'expected a dtype and a shape, such as "float32[6]", "int64[]", "raw:uint8[28,28]" or '
            '"float32[6] from NAME_IN_THE_RECORDS"'
        )
    raw, dtype, dimensions, key = match.groups()
    known = RAW_DTYPES if raw else DTYPES
    if dtype not in known:
        raise ValueError(f"{dtype!r} is no dtype here; choose from {', '.join(known)}")
    shape = tuple(int(size) for size in dimensions.split(",")) if dimensions.strip() else ()
    feature = Feature(key or name, dtype, shape, bool(raw))
    if not 0 < feature.size <= _MAX_ELEMENTS:
        raise ValueError("each dimension must be at least 1, and all of them less than 2**31")
    return feature


@dataclass(frozen=True)
class Evaluation:
    """How a loaded model is evaluated: by a function `module:name`, or on held-out data.

    `data` is the path of an `.npz` file, or, where there are `features`, of a TFRecord file of
    `tf.train.Example`: each array's name, and the text that `parse_feature` reads. `metrics` are
    the names of Keras metrics to compute on it; without names the model's own, as it was compiled.
    `content` is a digest of what the function's file or the data held when it was last looked at.
    """

    function: str = ""
    data: str = ""
    metrics: tuple[str, ...] = ()
    features: Mapping[str, str] = field(default_factory=dict)
    content: str = ""

    @property
    def is_set(self) -> bool:
        """Whether there is anything to evaluate."""
        return bool(self.function or self.data)

    @property
    def digest(self) -> str:
        """Values are comparable only where this is the same."""
        features = (f"{name}={what}" for name, what in sorted(self.features.items()))
        parts = (self.function, self.data, *self.metrics, *features)
        text = "\0".join((*parts, f"content={self.content}") if self.content else parts)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True)
class UserCheck:
    """A user's check: a function `module:name`, or, if empty, the entry point of that name."""

    name: str
    function: str = ""
    stage: str = LOAD_STAGE


@dataclass(frozen=True)
class VerifySettings:
    """How a checkpoint is to be verified; the resolved `[watch.verify]` of the config.

    `read_paths` are what the user's code may read besides the checkpoint and its own modules;
    `signature_key` is the file of a public key with which signatures must hold;
    `allow_signatures` names signatures that may read and write files whose paths they are given.
    Without `cross_atol` and `cross_rtol` the noise of rounding decides what another environment
    may change. `runtime` names the interpreter and the libraries that will load it, as far as is
    known.
    """

    atol: float = 1e-6
    rtol: float = 1e-5
    cross_atol: float | None = None
    cross_rtol: float | None = None
    custom_objects: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[str, ...] = ()
    read_paths: tuple[str, ...] = ()
    signature_key: str = ""
    python: str = ""
    builder: str = ""
    allow_code: bool = False
    allow_signatures: tuple[str, ...] = ()
    required_signatures: tuple[str, ...] = ()
    fail_on: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    ignore_tensors: tuple[str, ...] = ()
    drift: DriftLimits = DriftLimits()
    evaluate: Evaluation = Evaluation()
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    checks: tuple[UserCheck, ...] = ()
    runtime: str = ""

    @property
    def digest(self) -> str:
        """Changes when anything that could change a verdict does."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(f"{SUITE_VERSION}\0{text}".encode()).hexdigest()[:16]
