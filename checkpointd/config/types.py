"""The types of config values: durations, sizes, names, dotted paths; each with its validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from checkpointd.config.type_checks import (
    MOST_THREADS,
    check_bucket_url,
    check_name,
    check_path,
    check_root,
    check_trash_mode,
    count_or_auto,
    dotted,
    duration_or_never,
    metric_name,
    not_relative,
    size_or_auto,
    switch_or_path,
    tags,
    template,
    time_zone,
)
from checkpointd.config.units import parse_duration, parse_share, parse_size
from checkpointd.core.suite import SHOWS

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


def _one_of(names: tuple[str, ...], description: str) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"is not {description}; choose from {', '.join(names)}")
        return value

    return AfterValidator(check)


def _text_schema(pattern: str, example: str, **more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example], **more})


_DURATION_PATTERN = r"^(\s*\d+(\.\d+)?\s*(ms|[smhdw]))+\s*$"
_SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([KMGT]i?)?B\s*$"
_DURATIONS: list[dict[str, object]] = [
    {"type": "string", "pattern": _DURATION_PATTERN},
    {"type": "number", "exclusiveMinimum": 0},
]


class SchemaAlternative:
    """Adds the short form of a table to what the JSON Schema accepts.

    Args:
        plain: the schema of the short form.
        written: how both are described in the manual.
        unit: the unit of the short form.
    """

    def __init__(self, plain: JsonSchemaValue, written: str, unit: str = "") -> None:
        self._plain = plain
        self._annotations = {"x-type": written, "x-unit": unit}

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of either."""
        return {"anyOf": [self._plain, handler(schema)], **self._annotations}


class SchemaSingleTable:
    """Adds a single table to what the JSON Schema accepts, for a list of tables."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of either."""
        several = handler(schema)
        return {"anyOf": [several["items"], several], "x-type": "table, or list of tables"}


class SchemaSingleText:
    """Adds a single text to what the JSON Schema accepts, for a list of texts."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of either."""
        several = handler(schema)
        return {"anyOf": [several["items"], several], "x-type": "text, or list of texts"}


Text = Annotated[str, StringConstraints(strict=True, min_length=1)]
Location = Annotated[
    Path,
    BeforeValidator(check_path),
    WithJsonSchema({"type": "string", "minLength": 1, "x-type": "path"}),
]
WatchRoot = Annotated[
    Path | str,
    PlainValidator(check_root),
    WithJsonSchema({"type": "string", "minLength": 1, "x-type": "path or URL"}),
]
"""A directory, or what is below a URL of a bucket: the only ones that are texts."""

BucketPrefix = Annotated[
    str,
    BeforeValidator(check_bucket_url),
    _text_schema(r"^(gs|s3)://.+", "s3://bucket/prefix", **{"x-type": "URL"}),
]
"""What is below a URL of a bucket."""

TrashMode = Annotated[
    str,
    BeforeValidator(check_trash_mode),
    WithJsonSchema({"type": "string", "pattern": "^(inherit|[0-3]?7[0-7]{2})$", "x-type": "text"}),
]
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {"anyOf": _DURATIONS, "examples": ["90s", "36h", "7d"], "x-type": "duration", "x-unit": "s"}
    ),
]
DurationOrNever = Annotated[
    float | None,
    BeforeValidator(duration_or_never),
    WithJsonSchema(
        {
            "anyOf": [{"const": "never"}, *_DURATIONS],
            "examples": ["30d", "never"],
            "x-type": 'duration, or `"never"`',
            "x-unit": "s",
        }
    ),
]
"""A duration, or `"never"`, which is None."""

SizeOrAuto = Annotated[
    Literal["auto"] | int,
    BeforeValidator(size_or_auto),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "auto"},
                {"type": "string", "pattern": _SIZE_PATTERN},
                {"type": "integer", "exclusiveMinimum": 0},
            ],
            "examples": ["auto", "16GiB"],
            "x-type": 'size, or `"auto"`',
            "x-unit": "bytes",
        }
    ),
]
ThreadsOrAuto = Annotated[
    Literal["auto"] | int,
    BeforeValidator(count_or_auto),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "auto"},
                {"type": "integer", "minimum": 1, "maximum": MOST_THREADS},
            ],
            "examples": ["auto", 1],
            "x-type": 'whole number, or `"auto"`',
            "x-unit": "threads",
        }
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _SIZE_PATTERN},
                {"type": "integer", "exclusiveMinimum": 0},
            ],
            "examples": ["500GiB"],
            "x-type": "size",
            "x-unit": "bytes",
        }
    ),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$",
            "examples": ["80%"],
            "x-type": "percentage",
        }
    ),
]
"""A percentage as text, which is a number between 0 and 1."""

SwitchOrDirectory = Annotated[
    bool | Path,
    BeforeValidator(switch_or_path),
    WithJsonSchema(
        {
            "anyOf": [{"type": "boolean"}, {"type": "string", "minLength": 1}],
            "x-type": "`true`, `false`, or a path",
        }
    ),
]
"""Off, on in the state directory, or a directory; `load` makes a directory of the second."""

Count = Annotated[int, Field(strict=True, ge=1)]
Checkpoints = Annotated[Count, Field(json_schema_extra={"x-unit": "checkpoints"})]
Percent = Annotated[int, Field(strict=True, ge=0, le=100, json_schema_extra={"x-unit": "percent"})]
Hours = Annotated[Count, Field(json_schema_extra={"x-unit": "hours"})]
Days = Annotated[Count, Field(json_schema_extra={"x-unit": "days"})]
Weeks = Annotated[Count, Field(json_schema_extra={"x-unit": "weeks"})]
Months = Annotated[Count, Field(json_schema_extra={"x-unit": "months"})]
Years = Annotated[Count, Field(json_schema_extra={"x-unit": "years"})]
Steps = Annotated[Count, Field(json_schema_extra={"x-unit": "steps"})]
StepList = Annotated[
    tuple[Annotated[int, Field(strict=True, ge=0, json_schema_extra={"x-unit": "steps"})], ...],
    Field(min_length=1),
]
TagList = Annotated[tuple[Annotated[Text, AfterValidator(tags)], ...], Field(min_length=1)]
Flag = Annotated[bool, Field(strict=True)]
Tolerance = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]

ShownName = Annotated[
    Text,
    _one_of(tuple(SHOWS.values()), "something that a report can show"),
    WithJsonSchema({"type": "string", "enum": list(SHOWS.values())}),
]
Dotted = Annotated[
    Text,
    AfterValidator(dotted),
    _text_schema(
        r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$",
        "mylib.layers:CustomDense",
        **{"x-type": '`"module:name"`'},
    ),
]
TimeZone = Annotated[Text, AfterValidator(time_zone)]
Template = Annotated[Text, AfterValidator(template)]
Templates = Annotated[
    tuple[Template, ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    SchemaSingleText(),
]
CheckName = Annotated[
    Text, AfterValidator(check_name), _text_schema(r"^[a-z][a-z0-9_]{0,31}$", "calibrated")
]
MetricName = Annotated[Text, AfterValidator(metric_name)]
WatchName = Annotated[
    Text,
    StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=64),
    AfterValidator(not_relative),
]
