"""Keras configurations: code in them, and the names of code and files outside of Keras.

`keras_names` decides who owns a class or function, `keras_code` what stored code is; here both are
judged, with the files that layers of Keras read: CVE-2026-1462 (TFSMLayer loads a SavedModel),
CVE-2025-12058 (a vocabulary that is a path or URL), CVE-2025-49655 (TorchModuleWrapper unpickles),
CVE-2026-12479 (layer names with `..`), and the op layers of Keras 2, which call any function or
op of TensorFlow. A class of the user's that is not configured is left to `load`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core.format_specs import Format
from checkpointd.formats import FormatError
from checkpointd.formats.protobuf import fields
from checkpointd.verify.keras_files import keras_config, keras_metadata
from checkpointd.verify.keras_files.keras_code import stores_code
from checkpointd.verify.keras_files.keras_names import CODE as FOREIGN_CODE
from checkpointd.verify.keras_files.keras_names import (
    KERAS_TEAM,
    is_keras_module,
    is_unsafe_op,
    is_unsafe_symbol,
    owner,
)
from checkpointd.verify.keras_files.keras_nodes import Node, nodes
from checkpointd.verify.scan.findings import (
    CODE,
    FOREIGN_REFERENCE,
    KERAS_METADATA_CODE,
    NEEDS_CODE,
    TRAVERSAL,
    Finding,
)
from checkpointd.verify.scan.safety import graph_ops, pickles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.verify.scan.scan_context import ScanContext

_MOST = 200
_SHOWN = 200
_MODELS_IN_FILES = frozenset({"TFSMLayer", "ReloadedLayer"})
_LOOKUPS = frozenset({"StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization"})
_LOOKUPS |= {"TextVectorizationV1", "DynamicLookup", "DynamicEmbedding", "PretrainedEmbedding"}
_READ = ("vocabulary", "idf_weights", "initial_vocabulary", "merges", "proto", "filepath", "url")
_SYMBOLS = ("function", "cls_symbol", "symbol")
_OP_LAYERS = frozenset(
    {"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty"}
)
_OP_NODE = "TensorFlowOpLayer"
_REACHES = _MODELS_IN_FILES | _LOOKUPS | _OP_LAYERS | {_OP_NODE, "TorchModuleWrapper"}
_WATCHED = frozenset(op.replace("_", "").lower() for op in graph_ops.WATCHED)


def findings(context: ScanContext) -> Iterator[Finding]:
    """Judge the configurations of a checkpoint, at any depth."""
    path, kind = context.request.checkpoint.path, context.facts.format
    settings = context.request.settings
    if kind is Format.SAVEDMODEL:
        known = {member.name for member in context.request.generation.members}
        if keras_metadata.MEMBER in known:
            yield from _of_metadata(path, settings)
        return
    config = keras_config.read(path, kind)
    parts = [config.model]
    if kind is not Format.KERAS and config.compile is not None:  # a `.keras` holds it in its model
        parts.append({"training_config": config.compile})
    yield from judge(parts, settings)


def judge(config: Any, settings: VerifySettings) -> Iterator[Finding]:
    """Judge every object that a configuration names; each finding is yielded once.

    Args:
        config: parsed from JSON.
        settings: their `custom_objects` are the user's.
    """
    seen: dict[str, set[str]] = {}
    for node in nodes(config):
        for finding in _of_node(node, settings):
            known = seen.setdefault(finding.word, set())  # by word: many do not hide a severe one
            if finding.message not in known and len(known) < _MOST:
                known.add(finding.message)
                yield finding


def _of_metadata(path: str, settings: VerifySettings) -> Iterator[Finding]:
    """Judge the code in the configurations that Keras 2 stores beside a graph.

    Loading the SavedModel without Keras does not read them; assets are in the SavedModel.
    """
    read = keras_metadata.read(path)
    if read.problem:
        yield Finding(
            KERAS_METADATA_CODE,
            f"keras_metadata.pb cannot be read ({read.problem}): it is not known "
            "which code load_model of Keras 2 would run. It was loaded without it, by "
            "tf.saved_model.load.",
            where="keras_metadata.pb",
        )
    for finding in judge(read.configs, settings):
        if finding.word == CODE:
            yield finding
        elif finding.word == NEEDS_CODE:
            yield Finding(
                KERAS_METADATA_CODE,
                f"keras_metadata.pb holds Python code ({finding.where}) that load_model of Keras 2 "
                "would run. Loading the SavedModel as such does not, and so it was loaded here.",
                where=finding.where,
                what=finding.what,
            )


def _of_node(node: Node, settings: VerifySettings) -> Iterator[Finding]:
    if stores_code(node):
        yield Finding(
            NEEDS_CODE,
            f"Loading it would run Python code stored in it ({node.path}): set allow_code = true "
            "in [watch.verify] if you trust its writer.",
            where=node.path,
            what=node.kind,
        )
    yield from _traversal(node)
    names = node.lookups
    others = {name.rpartition(">")[2] for name in names - set(settings.custom_objects)}
    if node.key in settings.custom_objects and not others & _REACHES:
        return  # in an HDF5 file Keras looks for `class_name`, whatever is registered
    if "TorchModuleWrapper" in names:
        yield _torch_module(node)
    elif _MODELS_IN_FILES & names:
        does = f"loads a model from {_quoted(node.config.get('filepath'))}"
        yield _reference(node, does, "build that model of its own layers")
    else:
        yield from _foreign_names(node)
    yield from _arguments(node, names)
    yield from _op_layer(node, names)


def _torch_module(node: Node) -> Finding:
    """Judge a module of torch that is stored as a pickle by what it would import and call."""
    if not pickles.module_is_plain(node.config.get("module")):
        return _code(node, "is a TorchModuleWrapper, which unpickles what is stored in it")
    return Finding(
        NEEDS_CODE,
        f"{node.path} is a TorchModuleWrapper: loading it would unpickle a module of torch that "
        "is stored in it. Set allow_code = true in [watch.verify] if you trust its writer, and "
        "python to an interpreter with torch.",
        where=node.path,
        what=node.kind,
    )


def _foreign_names(node: Node) -> Iterator[Finding]:
    for name in sorted(node.lookups) or [
        ""
    ]:  # Keras imports the module before it looks up the name
        if owner(node.module, name, is_function=node.is_function) == FOREIGN_CODE:
            yield _code(node, f"names {node.module}.{name}"[:_SHOWN].rstrip("."))


def _arguments(node: Node, names: frozenset[str]) -> Iterator[Finding]:
    """Judge what layers of Keras would read: a vocabulary is a list, or the path of a file."""
    known = is_keras_module(node.module) or node.module.partition(".")[0] in KERAS_TEAM
    if not known and not _LOOKUPS & {name.rpartition(">")[2] for name in names}:
        return
    for argument in _READ:
        value = node.config.get(argument)
        if isinstance(value, str) and value and not _MODELS_IN_FILES & names:
            yield _reference(node, f"reads its {argument} from {_quoted(value)}")


def _op_layer(node: Node, names: frozenset[str]) -> Iterator[Finding]:
    if _OP_LAYERS & names:
        for argument in _SYMBOLS:
            symbol = node.config.get(argument)
            if isinstance(symbol, str) and (is_unsafe_symbol(symbol) or _is_watched(symbol)):
                yield _code(node, f"calls tf.{symbol[:_SHOWN]}")
        if any("file://" in text for text in _texts(node.content.get("inbound_nodes"))):
            yield _code(node, "writes to a file")
    elif _OP_NODE in names:
        op = _op_of(node.config.get("node_def"))
        if is_unsafe_op(op) or op in graph_ops.WATCHED:
            yield _code(node, f"calls the TensorFlow op {op[:_SHOWN]!r}")


def _is_watched(symbol: str) -> bool:
    """Whether a symbol is an op that reaches outside: each has a name such as `tf.an_op` too."""
    module, _, name = symbol.rpartition(".")
    return name.replace("_", "").lower() in _WATCHED and "numpy" not in module.split(".")


def _op_of(definition: Any) -> str:
    """Read the op of a `NodeDef`, which is JSON or a serialised message in a string."""
    if isinstance(definition, dict):
        op = definition.get("op")
        return op if isinstance(op, str) else ""
    if not isinstance(definition, str):
        return ""
    try:
        op = dict(fields(definition.encode())).get(2)
    except (FormatError, UnicodeEncodeError):
        return definition  # cannot be parsed: all of it is searched
    return op.decode("utf-8", "replace") if isinstance(op, bytes) else definition


def _traversal(node: Node) -> Iterator[Finding]:
    """Judge the name of a layer, which Keras uses as a path when it unpacks."""
    name = node.config.get("name")
    if not isinstance(name, str):
        return
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
        yield Finding(
            TRAVERSAL,
            f"The layer {node.path} is called {_quoted(name)}, which as a path leads out of the "
            "directory that it is unpacked to. Do not load it.",
            where=node.path,
            what=name[:_SHOWN],
        )


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)


def _quoted(value: Any) -> str:
    """Quote a value, cut short; of a structure, which may be of any size, only the type."""
    return repr(value[:_SHOWN]) if isinstance(value, str) else f"a {type(value).__name__}"


def _code(node: Node, does: str) -> Finding:
    return Finding(
        CODE,
        f"{node.path} {does}: loading it would run that, and no model is made of it. Do not load "
        "it, and ask where it came from.",
        where=node.path,
        what=does,
    )


def _reference(
    node: Node, does: str, cure: str = "put what it needs into the model (a vocabulary as a list)"
) -> Finding:
    return Finding(
        FOREIGN_REFERENCE,
        f"{node.path} {does}, which is no part of the checkpoint: {cure} and save it again.",
        where=node.path,
        what=does,
    )
