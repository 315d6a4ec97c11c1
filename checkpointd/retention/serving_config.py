"""Which versions a config file of TensorFlow Serving names.

Source: `ModelServerConfig` in tensorflow_serving/config/model_server_config.proto, as protobuf's
text format. It is read leniently: what is named too much only stays longer.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MARK = b"model_config_list"
"""The field with which such a file names models."""

_OTHERS = (".json", ".yaml", ".yml", ".toml", ".py", ".ini", ".xml", ".h5", ".keras", ".npz")
_COMMENT = re.compile(r"""("[^"\n]*"|'[^'\n]*')|\#[^\n]*""")
_MODEL = re.compile(r"\bconfig\s*:?\s*[{<]")
_BASE_PATH = re.compile(r"""\bbase_path\s*:?\s*(?:"([^"\n]*)"|'([^'\n]*)')""")
_NUMBERS = re.compile(r"\b(?:versions|value)\s*:?\s*(?:\[([\s0-9,]*)\]?|([0-9]+))")
_ALL = re.compile(r"\ball\s*:?\s*[{<]")
_LATEST = re.compile(r"\bnum_versions\s*:\s*([0-9]+)")
_VERSION = re.compile(r"[0-9]+", re.ASCII)


@dataclass(frozen=True)
class ServedModel:
    """One model of a config: the name of its directory, and which versions in it are named.

    `latest`: how many of the highest are; None: all of them.
    """

    directory: str
    versions: frozenset[int] = frozenset()
    latest: int | None = 0


def may_be_one(name: str) -> bool:
    """Whether a file of this name may be a config of TensorFlow Serving."""
    lowered = name.lower()
    return "config" in lowered and not lowered.endswith(_OTHERS)


def parse(data: bytes) -> tuple[ServedModel, ...]:
    """Return the models that a config names; none if it is no such config."""
    if MARK not in data:
        return ()
    text = _COMMENT.sub(lambda found: found[1] or "", data.decode("utf-8", "surrogateescape"))
    models = list[ServedModel]()
    for model in _MODEL.split(text)[1:]:
        path = _BASE_PATH.search(model)
        directory = os.path.basename((path[1] or path[2] or "").rstrip("/")) if path else ""
        if directory:
            lists = (found[1] or found[2] or "" for found in _NUMBERS.finditer(model))
            versions = frozenset(int(n) for numbers in lists for n in _VERSION.findall(numbers))
            latest = sum(int(number) for number in _LATEST.findall(model))
            models.append(ServedModel(directory, versions, None if _ALL.search(model) else latest))
    return tuple(models)


def named_versions(model: ServedModel, directories: Iterable[str]) -> list[str]:
    """Those of the directories of a model's versions that its config names."""
    numbered = [d for d in directories if _VERSION.fullmatch(os.path.basename(d))]
    numbered.sort(key=lambda d: int(os.path.basename(d)), reverse=True)
    first = numbered if model.latest is None else numbered[: model.latest]
    return [*first, *(d for d in numbered if int(os.path.basename(d)) in model.versions)]
