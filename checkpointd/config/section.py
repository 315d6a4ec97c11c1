"""The base class of every section of the schema, and how a section is found in a key."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the config: frozen, and without a key that the schema does not know.

    The text below a key is its description: in the JSON Schema, and in `checkpointd docs
    configuration`. `config.descriptions` reads it, for these alone: a caller that only wants a
    config should not wait until the source of the schema has been parsed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)


def section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a key holds, also in a list or by name; None if it holds a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(section_in, get_args(annotation))), None)
