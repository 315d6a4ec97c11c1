"""The descriptions of config.toml: every key for the manual, a JSON Schema for editors."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from typing import Any

import pytest

from checkpointd.config.schema import json_schema, keys

EXAMPLE = files("checkpointd.config").joinpath("example.toml").read_text(encoding="utf-8")
SCHEMA = json_schema()


TYPES: dict[str, Any] = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}
TYPES |= {"array": list, "object": dict}
IGNORED = {"$schema", "title", "description", "default", "examples", "definitions"}
IGNORED |= {
    "maxItems",
    "minItems",
    "minLength",
    "maxLength",
    "exclusiveMinimum",
    "maximum",
    "maxProperties",
    "propertyNames",
}
KEYWORDS = {"$ref", "anyOf", "type", "enum", "const", "pattern", "minimum", "items"}
KEYWORDS |= {"properties", "required", "additionalProperties", *IGNORED}


def errors(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """The paths at which a value breaks a schema."""
    assert set(schema) <= KEYWORDS, set(schema) - KEYWORDS
    if "$ref" in schema:
        return errors(value, SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]], path)
    if "anyOf" in schema:
        options = [errors(value, option, path) for option in schema["anyOf"]]
        return [] if any(not found for found in options) else [path]
    if not fits(value, schema):
        return [path]
    found = [f"{path}.{name}" for name in schema.get("required", ()) if name not in value]
    for number, item in enumerate(value if isinstance(value, list) else ()):
        found += errors(item, schema.get("items", {}), f"{path}[{number}]")
    for name, item in value.items() if isinstance(value, dict) else ():
        inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
        where = f"{path}.{name}"
        found += [where] if inner is False else errors(item, inner, where)
    return found


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is of the right type and in range, without what is in it."""
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (value is True and kind != "boolean")):
        return False
    return (
        value in schema.get("enum", [value])
        and value == schema.get("const", value)
        and ("pattern" not in schema or re.search(schema["pattern"], value) is not None)
        and ("minimum" not in schema or value >= schema["minimum"])
    )


def test_the_example_is_valid_by_the_json_schema() -> None:
    """Every key of it, short forms included."""
    assert errors(tomllib.loads(EXAMPLE), SCHEMA) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[worker]\nmemoy = 1", ".worker.memoy"),
        ('[worker]\ntimeout = "soon"', ".worker.timeout"),
        ("[[watch]]\nname = 'a b'\npath = 'x'", ".watch[0].name"),
        ("[[watch]]\nname = 'a'", ".watch[0].path"),
        ("[[watch]]\nname='a'\npath='x'\nverify.evaluate = 3", ".watch[0].verify.evaluate"),
        ("[[watch]]\nname='a'\npath='x'\nretention.keep_last = 0", ".watch[0].retention.keep_last"),
        ("[[watch]]\nname='a'\npath='x'\nscrub_every = 'often'", ".watch[0].scrub_every"),
    ],
)
def test_a_mistake_is_found_by_the_json_schema(text: str, path: str) -> None:
    """An editor marks what `config check` refuses."""
    assert errors(tomllib.loads(text), SCHEMA) == [path]


def test_the_json_schema_is_valid_by_a_validator_where_one_is_installed() -> None:
    """It declares draft 7, and holds nothing that only the manual needs."""
    validator = pytest.importorskip("jsonschema").Draft7Validator
    validator.check_schema(SCHEMA)
    assert not list(validator(SCHEMA).iter_errors(tomllib.loads(EXAMPLE)))


def test_the_json_schema_holds_no_null_and_no_notes_for_the_manual() -> None:
    """TOML has no null."""
    text = json.dumps(SCHEMA)
    assert "null" not in text
    assert '"x-' not in text
    assert SCHEMA["definitions"]["WorkerSettings"]["properties"]["timeout"]["default"] == "30m"


def test_every_key_is_described_in_one_sentence() -> None:
    """An undocumented key fails here: write its description below it in the model."""
    for key in keys():
        assert key.description.endswith("."), f"{key.table} {key.name}: no description"
        assert "\n" not in key.description


def test_keys_have_the_headers_of_their_tables() -> None:
    """Arrays of tables with two brackets, inline tables with dots."""
    found = {(key.table, key.name): key for key in keys()}
    assert found["[[watch]]", "settle"].default == '`"5s"`'
    assert found["[watch.retention]", "keep_best.mode"].type == '`"min"` or `"max"`'
    assert found["[[watch.verify.checks]]", "name"].default == "required"
    assert found["[watch.verify]", "bounds.METRIC.within_of_best"].type == "number"
    assert found["[watch.retention]", "keep_every_n_steps"].unit == "steps"
