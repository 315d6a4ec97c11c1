"""Who wrote a Keras file, and which custom objects its configuration names.

Read from the file itself, before anything is loaded, with libraries that every Keras installs: the
scan stage's reader needs others, which a training job's interpreter may lack.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.format_specs import Format
from checkpointd.formats import FormatError, bounded_json, keras_directory, names
from checkpointd.formats.facts import MALFORMED
from checkpointd.verify.keras_files.keras_names import is_keras_module

if TYPE_CHECKING:
    from collections.abc import Iterator


_DIGITS = frozenset("0123456789")
_MAX_DIGITS = 9


def release(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version in a file; empty if it is not a version."""
    parts = version.split(".")[:2]
    numbers = all(0 < len(part) <= _MAX_DIGITS and _DIGITS.issuperset(part) for part in parts)
    return tuple(int(part) for part in parts) if numbers else ()


@dataclass(frozen=True)
class Origin:
    """What the metadata of a Keras file contain.

    `version` is the writer's Keras version or empty; `config` its model configuration or None,
    followed by the compile configuration of an HDF5 file; `legacy_layout` means the HDF5 weight
    layout of Keras 1 and 2 (by layer); `compiled` is the compile configuration.
    """

    version: str = ""
    config: Any = None
    legacy_layout: bool = False
    compiled: Any = None

    @property
    def model(self) -> Any:
        """The model's configuration without the compile configuration: enough to load it."""
        if isinstance(self.config, list):
            return self.config[:1] if self.compiled is None else self.config[:-1]
        if isinstance(self.config, dict):
            return {key: value for key, value in self.config.items() if key != "compile_config"}
        return self.config

    @property
    def generation(self) -> int:
        """The writer's major version of Keras; 0 if the file has none."""
        return (*release(self.version), 0)[0]


def read_origin(path: str, format: Format) -> Origin:
    """Read the metadata of a `.keras` or HDF5 file.

    Raises:
        OSError: it cannot be read.
        FormatError: its configuration is not JSON, or the file is broken.
    """
    try:
        return _read(path, format)
    except (RuntimeError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(MALFORMED, f"what it says of its writer is broken: {error}") from error


def _read(path: str, format: Format) -> Origin:
    if format is Format.KERAS and os.path.isdir(path):
        metadata = keras_directory.read_json(path, names.KERAS_METADATA)
        config = keras_directory.read_json(path, names.KERAS_CONFIG)
        version = str(metadata.get("keras_version", ""))
        return Origin(version, config, compiled=config.get("compile_config"))
    if format is Format.KERAS:
        with zipfile.ZipFile(path) as archive:
            version = _keras_version(archive)
            config = bounded_json.parse(_member(archive, "config.json"), "config.json")
        compiled = config.get("compile_config") if isinstance(config, dict) else None
        return Origin(version, config, compiled=compiled)
    if format not in (Format.HDF5, Format.HDF5_WEIGHTS) or path.endswith(".json"):
        return Origin()
    import h5py

    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
        training = file.attrs.get("training_config")
        weights = file.get("model_weights", file)
        version = file.attrs.get("keras_version", weights.attrs.get("keras_version", ""))
        legacy = "layer_names" in weights.attrs or "layer_names0" in weights.attrs
    if legacy and not version:
        version = "1"  # Keras wrote no version before 2.0
    configs = [
        bounded_json.parse(_text(part), "its configuration")
        for part in (config, training)
        if part is not None
    ]
    compiled = configs[-1] if training is not None else None
    return Origin(_text(version), configs or None, legacy, compiled)


def weight_groups(path: str) -> tuple[str, ...]:
    """Return the outermost groups of weights in HDF5 or in an archive; none if it is neither."""
    import h5py

    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return tuple(file)
        with (
            zipfile.ZipFile(path) as archive,
            archive.open("model.weights.h5") as member,
            h5py.File(member, "r") as file,
        ):
            return tuple(file)
    except (OSError, RuntimeError, KeyError, ValueError, zipfile.BadZipFile):
        return ()


def _keras_version(archive: zipfile.ZipFile) -> str:
    """Return which Keras wrote an archive; empty if there is no version, which Keras allows."""
    try:
        metadata = bounded_json.parse(_member(archive, "metadata.json"), "metadata.json")
    except (KeyError, FormatError):
        return ""
    return str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > bounded_json.MAX_BYTES:
        raise FormatError(MALFORMED, f"Its {name} is larger than any configuration.")
    return archive.read(name)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def names_policy(config: Any, policy: str) -> bool:
    """Whether a layer of Keras 3 computes under a precision policy, such as `mixed_float16`."""
    return any(
        node.get("class_name") == "DTypePolicy"
        and isinstance(node.get("config"), dict)
        and node["config"].get("name") == policy
        for node in objects(config)
    )


def custom_names(config: Any) -> dict[str, str]:
    """Find the names in a configuration that are not marked as Keras's.

    Returns:
        The module that defines each name, empty if the configuration has none. In the
        configurations of Keras 2 every class is such a name.
    """
    modules: dict[str, str] = {}
    for node in objects(config):
        kind, inner = node.get("class_name"), node.get("config")
        module = str(node.get("module") or "")
        if kind == "function" and isinstance(inner, str):
            if not is_keras_module(module):
                modules.setdefault(inner, "" if module == "builtins" else module)
        elif isinstance(kind, str) and _may_be_custom(kind, module):
            modules.setdefault(str(node.get("registered_name") or kind), module)
        for key in ("activation", "recurrent_activation", "loss"):
            if isinstance(node.get(key), str):
                modules.setdefault(node[key], "")
    return modules


def _may_be_custom(kind: str, module: str) -> bool:
    return not (is_keras_module(module) or module == "builtins" or kind.startswith("__"))


def objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict in a configuration, at any depth: without recursion, it may be hostile."""
    waiting = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
