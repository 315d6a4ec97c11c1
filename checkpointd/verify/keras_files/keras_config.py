"""The configuration that Keras stores: who wrote it, which classes it names, how it was compiled.

Sources: keras/src/saving/saving_lib.py and serialization_lib.py (Keras 3), and
keras/src/legacy/saving/legacy_h5_format.py (HDF5). Read without Keras; nothing in it is run.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core.format_specs import Format
from checkpointd.formats import bounded_json, keras_directory, names
from checkpointd.verify.keras_files.origin import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from checkpointd.tensors import TensorSpec

_BUILT_IN_MODULES = ("keras", "tf_keras", "builtins", "tensorflow")
_CUSTOM_PACKAGE = "Custom>"
_OPTIMIZERS = frozenset(
    {
        *("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion"),
        *("LossScaleOptimizer", "Nadam", "RMSprop", "SGD"),
    }
)
"""Keras 2.11 and later write these as `Custom>Adam`, as if a user had defined them."""


@dataclass(frozen=True)
class KerasConfig:
    """The configuration in a Keras file; everything is empty in a file of weights alone."""

    keras_version: str = ""
    backend: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    compile: Mapping[str, Any] | None = None

    @property
    def writer(self) -> str:
        """Which Keras wrote the file, such as `keras 3.15.1`; empty if it has no version."""
        return f"keras {self.keras_version}" if self.keras_version else ""

    @property
    def custom_objects(self) -> tuple[str, ...]:
        """Names of classes and functions that are not Keras's own, sorted."""
        return tuple(sorted(set(_custom([self.model, self.compile]))))


def read(path: str, format: Format) -> KerasConfig:
    """Read the configuration of a `.keras` or HDF5 file, or of Keras's directory.

    Raises:
        FormatError: the file is broken.
        OSError: it could not be read.
    """
    if format is Format.KERAS:
        return _of_archive(path)
    if format in (Format.HDF5, Format.HDF5_WEIGHTS) and not path.endswith(".json"):
        return _of_hdf5(path)
    return KerasConfig()


def digest_of_tensors(specs: Iterable[TensorSpec]) -> str:
    """Return a digest of the names, types and shapes of tensors, whatever their order."""
    lines = sorted(f"{s.name}\0{s.dtype}\0{list(s.shape)}" for s in specs)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _of_archive(path: str) -> KerasConfig:
    if os.path.isdir(path):
        metadata = keras_directory.read_json(path, names.KERAS_METADATA)
        config = keras_directory.read_json(path, names.KERAS_CONFIG)
    else:
        from checkpointd.formats.keras import read_archive

        archive = read_archive(path)
        metadata, config = archive.metadata, archive.config
    compiled = config.get("compile_config")
    return KerasConfig(
        keras_version=str(metadata.get("keras_version", "")),
        model=config,
        compile=compiled if isinstance(compiled, dict) else None,
    )


def _of_hdf5(path: str) -> KerasConfig:
    from checkpointd.tensors import hdf5
    from checkpointd.tensors.hdf5_tree import text_attribute

    with hdf5.open_hdf5(path) as handle:
        texts = {
            key: hdf5.guarded(lambda key=key: text_attribute(handle, key))  # type: ignore[misc]
            for key in ("keras_version", "backend", "model_config", "training_config")
        }
    return KerasConfig(
        keras_version=texts["keras_version"],
        backend=texts["backend"],
        model=_parsed(texts["model_config"], "model_config"),
        compile=_parsed(texts["training_config"], "training_config") or None,
    )


def _parsed(text: str, name: str) -> dict[str, Any]:
    if not text:
        return {}
    value = bounded_json.parse(text, name)
    return value if isinstance(value, dict) else {}


def _custom(root: Any) -> Iterator[str]:
    for node in objects(root):
        name = node.get("registered_name") or node.get("class_name")
        if isinstance(name, str) and _is_custom(node, name):
            yield name.rpartition(">")[2]


def _is_custom(node: dict[str, Any], name: str) -> bool:
    module = node.get("module")
    built_in = isinstance(module, str) and module.split(".")[0] in _BUILT_IN_MODULES
    if ">" in name:
        return not (built_in or name.replace(_CUSTOM_PACKAGE, "") in _OPTIMIZERS)
    if "class_name" not in node or "module" not in node:
        return False
    if node["class_name"] == "function":
        return False
    return not built_in
