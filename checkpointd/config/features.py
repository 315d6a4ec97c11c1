"""`features` of `evaluate`: what the records of a TFRecord contain, by the names of the arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

from checkpointd.core import verify_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FEATURES = 100
_RECORDS = (".tfrecord", ".tfrecords", ".tfrec")
_PACKED = (".gz", ".gzip", ".zlib", ".zz")
_SHAPE = '{ inputs = "float32[6]", labels = "int64[]" }'


def _name(value: str) -> str:
    if not verify_settings.is_feature_name(value):
        raise ValueError(
            "is not an array of held-out data; choose from inputs, labels, inputs.NAME, "
            "labels.NAME, sample_weight"
        )
    return value


def _feature(value: str) -> str:
    verify_settings.parse_feature("", value)
    return value


def flat(value: object) -> object:
    """Take `inputs = { image = "…" }`, which TOML also makes of `inputs.image`, by whole names."""
    if not isinstance(value, dict):
        return value
    features: dict[Any, Any] = {}
    for name, feature in value.items():
        if isinstance(feature, dict) and feature:
            features.update({f"{name}.{inner}": text for inner, text in feature.items()})
        else:
            features[name] = feature
    return features


_Text = Annotated[str, StringConstraints(strict=True, min_length=1)]
Features = Annotated[
    dict[Annotated[_Text, AfterValidator(_name)], Annotated[_Text, AfterValidator(_feature)]],
    BeforeValidator(flat),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
                ]
            },
            "examples": [{"inputs": "float32[6]", "labels": "int64[]"}],
        }
    ),
]
"""Array names and what `parse_feature` reads, such as `{"inputs": "float32[6]"}`."""


def features_errors(evaluate: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the errors between `features` and the other keys of `evaluate`, as written."""
    data = evaluate.get("data")
    path = data.lower() if isinstance(data, str) else ""
    for ending in _PACKED:
        path = path.removesuffix(ending)
    if not evaluate.get("features"):
        if path.endswith(_RECORDS):
            message = f"a TFRecord does not describe its content: add features = {_SHAPE}"
            yield ("data",), message
        return
    key = ("features",)
    if "function" in evaluate:
        yield key, "goes with data: a function reads its data itself"
    elif path.endswith(".npz"):
        yield key, "goes with a TFRecord: an .npz describes its own content"
    features = flat(evaluate["features"])
    if not isinstance(features, dict):
        return
    for part in ("inputs", "labels"):
        named = [n for n in features if isinstance(n, str) and n.startswith(f"{part}.")]
        if part in features and named:
            yield key, f"has both {part} and {named[0]}: name all of them {part}.NAME"
        elif part not in features and not named:
            yield key, f"has no {part}; expected {_SHAPE}"
