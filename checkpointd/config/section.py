"""The base class of every section of the schema."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the config: frozen, and without a key that the schema does not know.

    The text below a key is its description: in the JSON Schema, and in `checkpointd docs
    configuration`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=False, use_attribute_docstrings=True
    )
