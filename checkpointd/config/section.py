"""What every section of the schema is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints


def location(value: object) -> object:
    """Refuse what can be no path."""
    if isinstance(value, str) and not value:
        raise ValueError("must not be empty")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("no path holds a NUL character")
    return value


Text = Annotated[str, StringConstraints(strict=True, min_length=1)]
Location = Annotated[Path, BeforeValidator(location)]


class Section(BaseModel):
    """A table of the config: frozen, and without a key that the schema does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)
