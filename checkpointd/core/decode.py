"""Facts from JSON, schema-checked: a child process or an old ledger may hold anything.

The inverse of `checkpointd.core.encode.to_json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.report import MAX_PACKED, Digest, Facts, Report
from checkpointd.core.request import Former, Previous, Request
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import (
    MAX_METRICS,
    Bound,
    DriftLimits,
    Evaluation,
    UserCheck,
    VerifySettings,
    is_metric_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


MAX_INTEGER = 2**64
"""No whole number in a report is as large; a larger one could not be formatted or exported."""


_NO_NUMBERS: Mapping[str, float] = {}
"""One for all that have none: there are very many of them."""

_MEMBER = ("name", "device", "inode", "size", "mtime_ns", "ctime_ns")


class DecodeError(ValueError):
    """The data do not have the agreed structure; the message names the key."""


def _get(data: Any, key: str, kind: type[T] | tuple[type, ...]) -> T:
    if not isinstance(data, dict):
        raise DecodeError(f"expected an object with {key!r}, got {type(data).__name__}")
    value = data.get(key)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DecodeError(f"{key!r} is {type(value).__name__}")
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        raise DecodeError(f"{key!r} is larger than 64 bits")
    return value  # type: ignore[return-value]  # kind is T or a union that the caller narrows


def _get_or(data: Any, key: str, kind: type[T], absent: T) -> T:
    """A value that reports of an older checkpointd do not hold."""
    return _get(data, key, kind) if isinstance(data, dict) and key in data else absent


def _number(data: Any, key: str) -> float:
    return float(_get(data, key, (int, float)))


def _optional_number(data: Any, key: str) -> float | None:
    return None if data.get(key) is None else _number(data, key)


def _optional_int(data: Any, key: str) -> int | None:
    return None if data.get(key) is None else _get(data, key, int)


def _strings(data: Any, key: str) -> tuple[str, ...]:
    values = _get(data, key, list)
    if not all(isinstance(v, str) for v in values):
        raise DecodeError(f"{key!r} holds something that is no text")
    return tuple(values)


def _numbers(data: Any, key: str) -> dict[str, float]:
    values = _get(data, key, dict)
    return {str(k): _number(values, k) for k in values}


def _texts(data: Any, key: str) -> dict[str, str]:
    values = _get(data, key, dict)
    return {str(k): _get(values, k, str) for k in values}


def _enum(kind: type[T], data: Any, key: str) -> T:
    try:
        return kind(_get(data, key, str))  # type: ignore[call-arg]  # an Enum is called with its value
    except ValueError as error:
        raise DecodeError(str(error)) from None


def member(data: Any) -> Member:
    """Read a `Member`."""
    if type(data) is dict:  # the way it was written, without a call for each: there are very many
        values: list[Any] = [data.get(key) for key in _MEMBER]
        tag = data.get("tag", "")
        if (
            type(values[0]) is str
            and type(tag) is str
            and all(type(n) is int and -MAX_INTEGER < n < MAX_INTEGER for n in values[1:])
        ):
            name, device, inode, size, mtime_ns, ctime_ns = values
            return Member(name, device, inode, size, mtime_ns, ctime_ns, tag)
    return Member(
        _get(data, "name", str),
        _get(data, "device", int),
        _get(data, "inode", int),
        _get(data, "size", int),
        _get(data, "mtime_ns", int),
        _get(data, "ctime_ns", int),
        _get_or(data, "tag", str, ""),
    )


def generation(data: Any) -> Generation:
    """Read a `Generation`."""
    return Generation(tuple(member(m) for m in _get(data, "members", list)))


def checkpoint(data: Any) -> Checkpoint:
    """Read a `Checkpoint`."""
    return Checkpoint(
        path=_get(data, "path", str),
        format=_enum(Format, data, "format"),
        watch=_get(data, "watch", str),
        series=_get(data, "series", str),
        version=_get(data, "version", str),
        step=_optional_int(data, "step"),
        metrics=_numbers(data, "metrics") or _NO_NUMBERS,
    )


def settings(data: Any) -> VerifySettings:
    """Read `VerifySettings`."""
    return VerifySettings(
        **{key: _number(data, key) for key in ("atol", "rtol")},
        cross_atol=_optional_number(data, "cross_atol"),
        cross_rtol=_optional_number(data, "cross_rtol"),
        custom_objects=_texts(data, "custom_objects"),
        python_path=_strings(data, "python_path"),
        read_paths=_strings(data, "read_paths"),
        signature_key=_get(data, "signature_key", str),
        python=_get(data, "python", str),
        builder=_get(data, "builder", str),
        allow_code=_get(data, "allow_code", bool),
        allow_signatures=_strings(data, "allow_signatures"),
        required_signatures=_strings(data, "required_signatures"),
        fail_on=_strings(data, "fail_on"),
        skip=_strings(data, "skip"),
        ignore_tensors=_strings(data, "ignore_tensors"),
        drift=DriftLimits(_number(_get(data, "drift", dict), "max_norm_ratio")),
        evaluate=_evaluation(_get(data, "evaluate", dict)),
        bounds={str(k): _bound(v) for k, v in _get(data, "bounds", dict).items()},
        checks=tuple(_user_check(c) for c in _get(data, "checks", list)),
        runtime=_get(data, "runtime", str),
    )


def _evaluation(data: Any) -> Evaluation:
    return Evaluation(
        _get(data, "function", str),
        _get(data, "data", str),
        _strings(data, "metrics"),
        _texts(data, "features"),
        _get_or(data, "content", str, ""),
    )


def _bound(data: Any) -> Bound:
    return Bound(
        min=_optional_number(data, "min"),
        max=_optional_number(data, "max"),
        within_of_best=_optional_number(data, "within_of_best"),
        mode=_get(data, "mode", str),
    )


def _user_check(data: Any) -> UserCheck:
    return UserCheck(*(_get(data, key, str) for key in ("name", "function", "stage")))


def _packed(data: Any) -> str:
    text = _get_or(data, "tensors", str, "")
    if len(text) > MAX_PACKED:
        raise DecodeError(f"'tensors' is {len(text)} characters long")
    return text


def _metrics(data: Any, key: str) -> dict[str, float]:
    """Numbers whose names become labels: a few, with names that labels may have."""
    values = _numbers(data, key)
    if len(values) > MAX_METRICS or not all(map(is_metric_name, values)):
        raise DecodeError(f"{key!r} holds something that is not a metric")
    return values


def facts(data: Any) -> Facts:
    """Read `Facts`."""
    return Facts(
        format=_enum(Format, data, "format"),
        writer=_get(data, "writer", str),
        step=_optional_int(data, "step"),
        metrics=_numbers(data, "metrics"),
        digest=_get(data, "digest", str),
        tensors_digest=_get(data, "tensors_digest", str),
        model_digest=_get_or(data, "model_digest", str, ""),
        tensor_count=_get(data, "tensor_count", int),
        parameter_count=_get(data, "parameter_count", int),
        non_finite_values=_get(data, "non_finite_values", int),
        weight_norm=_optional_number(data, "weight_norm"),
        weight_change_ratio=_optional_number(data, "weight_change_ratio"),
        tensors=_packed(data),
        has_golden=_get(data, "has_golden", bool),
        signatures=_get(data, "signatures", dict),
        predictions_max_abs_difference=_optional_number(data, "predictions_max_abs_difference"),
        evaluation=_metrics(data, "evaluation") if "evaluation" in data else {},
        evaluated_by=_get_or(data, "evaluated_by", str, ""),
        environment=_texts(data, "environment"),
        checksums=_texts(data, "checksums") if "checksums" in data else {},
        optimizer_step=_optional_int(data, "optimizer_step"),
        optimizer_tensors=_optional_digests(data, "optimizer_tensors"),
        other_tensors=_optional_digests(data, "other_tensors"),
    )


def _optional_digests(data: Any, key: str) -> tuple[Digest, ...] | None:
    if data.get(key) is None:
        return None
    return tuple(digest(d) for d in _get(data, key, list))


def digest(data: Any) -> Digest:
    """Read a `Digest`."""
    shape = _get(data, "shape", list)
    if not all(type(n) is int and abs(n) < MAX_INTEGER for n in shape):
        raise DecodeError("'shape' holds something that is no whole number")
    return Digest(
        _get(data, "name", str), _get(data, "dtype", str), tuple(shape), _get(data, "crc32", int)
    )


def check_result(data: Any) -> CheckResult:
    """Read a `CheckResult`."""
    return CheckResult(
        name=_get(data, "name", str),
        outcome=_enum(Outcome, data, "outcome"),
        reason=_get(data, "reason", str),
        message=_get(data, "message", str),
        duration_seconds=_number(data, "duration_seconds"),
        details=_get(data, "details", dict),
    )


def request(data: Any) -> Request:
    """Read a `Request`."""
    previous = data.get("previous") if isinstance(data, dict) else None
    former = data.get("former") if isinstance(data, dict) else None
    return Request(
        checkpoint(_get(data, "checkpoint", dict)),
        generation(_get(data, "generation", dict)),
        settings(_get(data, "settings", dict)),
        Previous(
            _get(previous, "path", str),
            facts(_get(previous, "facts", dict)),
            _optional_int(previous, "step"),
        )
        if previous
        else None,
        overdue=_get(data, "overdue", bool),
        idle=_get(data, "idle", bool),
        copied=_get(data, "copied", bool),
        digest=_get(data, "digest", str),
        best=_numbers(data, "best"),
        former=Former(
            generation(_get(former, "generation", dict)), facts(_get(former, "facts", dict))
        )
        if former
        else None,
    )


def report(data: Any) -> Report:
    """Read a `Report`."""
    return Report(
        checkpoint=checkpoint(_get(data, "checkpoint", dict)),
        generation=generation(_get(data, "generation", dict)),
        verdict=_enum(Verdict, data, "verdict"),
        reason=_get(data, "reason", str),
        message=_get(data, "message", str),
        shown=_strings(data, "shown"),
        checks=tuple(check_result(c) for c in _get(data, "checks", list)),
        facts=facts(_get(data, "facts", dict)),
        duration_seconds=_number(data, "duration_seconds"),
        settings_digest=_get(data, "settings_digest", str),
        finished_at=_number(data, "finished_at"),
        stderr=_get(data, "stderr", str),
    )
