"""The text below each key of the schema, as the key's description."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
from typing import TYPE_CHECKING

from checkpointd.config.section import section_in
from checkpointd.config.settings import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel


@functools.cache
def described_config() -> type[Config]:
    """Return the schema, each key of which has a description."""
    for section in dict.fromkeys(_sections_in(Config)):
        texts = {name: text for base in section.__mro__ for name, text in _texts_in(base)}
        for name, field in section.model_fields.items():
            field.description = field.description or texts.get(name)
        section.model_rebuild(force=True)
    return Config


def _sections_in(section: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the sections that a section holds, then itself."""
    for field in section.model_fields.values():
        inner = section_in(field.annotation)
        if inner is not None:
            yield from _sections_in(inner)
    yield section


def _texts_in(section: type) -> Iterator[tuple[str, str]]:
    """Yield what stands below the keys of a class, by name; nothing of one without a source."""
    try:
        source = textwrap.dedent(inspect.getsource(section))
    except (OSError, TypeError):
        return
    (definition,) = ast.parse(source).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for key, below in itertools.pairwise(body):
        if (
            isinstance(key, ast.AnnAssign)
            and isinstance(key.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            yield key.target.id, inspect.cleandoc(below.value.value)
