"""Who owns the classes and functions that a Keras configuration names: Keras, or other code.

Read in keras/src/saving/serialization_lib.py: Keras 3.15 imports modules of `keras` alone (and of
keras_hub, keras_cv and keras_nlp, and takes classes that can be saved from these), Keras before
3.9 and tf-keras to this day any module that a configuration names; then they take any name in it,
`outer.inner` too, and `registered_name` where the first name is not found. So the question is not
whether a name is known to be harmful, but whether it is one that Keras writes.

Cases: CVE-2025-1550 (builtins, os), CVE-2025-8747 (keras.utils.get_file), CVE-2025-9906
(keras.config.enable_unsafe_deserialization). Standard library only, Python 3.9.
"""

from __future__ import annotations

import re
import sys

BUILT_IN, CODE, OTHER = "built_in", "code", "other"
"""Keras's; what only an attacker would name; a class or function of the user or of a library.

OTHER is not a failure: the user names it in `custom_objects`, or `load` reports what to do.
"""

KERAS = frozenset({"keras", "tf_keras"})
KERAS_TEAM = frozenset({"keras_hub", "keras_nlp", "keras_cv"})
"""The Keras team's libraries of models, of which Keras itself takes classes."""

_WRAPPINGS = KERAS | {"tensorflow", "tensorflow_core", "python", "api", "_api", "_tf_keras"}
_WRAPPINGS |= {"_v1", "_v2", "v1", "v2", "compat", "src"}
_MODEL_MODULES = frozenset(
    {
        *("activations", "constraints", "dtype_policies", "initializers", "layers", "losses"),
        *("metrics", "mixed_precision", "models", "ops", "optimizers", "quantizers", "random"),
        *("regularizers", "engine", "trainers", "backend", "legacy", "distillation"),
        *("premade", "premade_models", "experimental", "feature_column", "__internal__"),
        *("legacy_tf_layers", "rnn", "integration_test"),
    }
)
"""Keras's modules whose classes and functions configurations name, in any version."""

_TOOL_MODULES = frozenset(
    {"saving", "utils", "export", "callbacks", "datasets", "config", "testing"}
)
_MODEL_CLASSES = {
    "utils": frozenset({"FeatureSpace", "Cross", "Feature", "JaxLayer", "FlaxLayer"}),
    "applications": frozenset({"LayerScale", "StochasticDepth", "CustomScaleLayer"}),
}
"""Modules of tools, with the classes in them that models consist of (ConvNeXt, for one)."""

_REVIVED = "saved_model"
_VERBS = frozenset(
    {
        *("load", "loads", "save", "file", "files", "json", "yaml", "open", "exec", "eval"),
        *("import", "unsafe", "deserialize", "serialize", "download", "dataset", "session"),
        *("marshal", "pickle", "system", "subprocess", "write", "read", "dump"),
    }
)
"""Words in the names of functions of Keras and TensorFlow that do more than compute."""

_BUILTINS = frozenset(
    {
        *("eval", "exec", "compile", "open", "getattr", "setattr", "delattr", "globals", "locals"),
        *("vars", "input", "breakpoint", "exit", "quit", "help", "__import__", "__build_class__"),
    }
)
_STANDARD = frozenset(getattr(sys, "stdlib_module_names", ()))
"""Python's modules, whose names a user's files may share: `statistics.py`, `profile.py`."""

_NEVER_MODELS = frozenset(
    {
        *("os", "posix", "nt", "sys", "subprocess", "shutil", "pathlib", "io", "socket", "ctypes"),
        *("importlib", "runpy", "pickle", "marshal", "pty", "imp", "commands", "urllib", "http"),
        *("ftplib", "tempfile", "multiprocessing", "threading", "webbrowser", "zipfile", "code"),
    }
)
"""The modules of Python in which no model is ever defined."""

_REACHING_OUTSIDE = frozenset(
    {
        *("torch", "joblib", "dill", "cloudpickle", "pandas", "requests", "urllib3", "httpx"),
        *("aiohttp", "fsspec", "smart_open", "wget", "yaml", "h5py", "psutil", "paramiko", "sh"),
        *("pexpect", "IPython", "setuptools", "pip", "pkg_resources", "cffi", "gdown", "boto3"),
        *("huggingface_hub", "tensorflow_hub", "tensorflow_datasets", "cv2", "PIL", "imageio"),
    }
)
"""Libraries whose functions read files, reach the network or unpickle."""

_COMPUTING = re.compile(r"(?:gen_)?(?:math|nn|array|clip|image|linalg|string|special_math|random)_")
_TOOL_LIBRARIES = frozenset(
    {
        *("io", "lib", "platform", "saved_model", "data", "train", "training", "debug", "summary"),
        *("autograph", "gfile", "io_ops", "script_ops", "logging_ops", "eager", "profiler"),
        *("distribute", "config", "sysconfig", "test", "tpu", "lite", "python_io"),
        *("resource_loader", "app", "flags", "feature_column", "lookup", "mlir", "dtensor"),
        *("tensorrt", "estimator"),
    }
)
_CODECS = ("decode_", "parse_", "encode_", "serialize_", "deserialize_")
_CALLS = frozenset(
    {
        *("py_function", "numpy_function", "py_func", "load_op_library", "load_library"),
        *("load_file_system_library", "import_graph_def", "read_file", "write_file"),
        *("matching_files", "enable_dump_debug_info", "register_filesystem_plugin"),
        *("quantize_saved_model", "TfRecordRepresentativeDatasetSaver"),
        *("fixed_unigram_candidate_sampler", "TextFileInitializer"),
    }
)
_OPS = re.compile(
    "File|Save|Restore|Dataset|PyFunc|Print|Debug|Rpc|Reader|Iterator|Summary|Checkpoint|Library"
    "|LoadAndRemap|Send|Recv|Worker"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def owner(module: str, name: str, *, is_function: bool) -> str:
    """Return who owns a class or function: BUILT_IN, CODE or OTHER.

    Args:
        module: where a configuration says that it is defined; empty in what Keras 2 wrote.
        name: its name there.
        is_function: it is a function, which would be called.
    """
    top, _, rest = module.partition(".")
    if "." in name and not name[:1].isupper():  # `np.load` in a module that imports numpy as np
        return CODE
    if is_keras_module(module):
        return _of_keras(module.split("."), name)
    if top == "tensorflow":
        called = is_function or not name[:1].isupper()
        return _of_tensorflow(rest.split("."), name, called=called)
    return CODE if _is_harmful(top, name, is_function=is_function) else OTHER


def _is_harmful(top: str, name: str, *, is_function: bool) -> bool:
    """Whether a library's function does more than compute; of Python's modules any name counts."""
    called = is_function or not name[:1].isupper()  # tf-keras takes a function for a class too
    if top == "builtins":
        return name in _BUILTINS
    if top == "numpy":
        return called and _has_effects(name)
    return top in _NEVER_MODELS or (called and (top in _STANDARD or top in _REACHING_OUTSIDE))


def is_keras_module(module: str) -> bool:
    """Whether a module is one of Keras, in any of its packages."""
    return module.partition(".")[0] in KERAS or _is_tensorflows_keras(module)


def is_unsafe_symbol(symbol: str) -> bool:
    """Whether a TensorFlow symbol, such as a TFOpLambda names, does more than compute.

    Args:
        symbol: as in `tf.` and the symbol: `math.add`, `io.read_file`, `raw_ops.WriteFile`.
    """
    *modules, name = symbol.split(".")
    if modules[-1:] == ["io"]:
        return not name.startswith(_CODECS)
    if modules[-1:] == ["raw_ops"]:
        return is_unsafe_op(name)
    if any(part in _TOOL_MODULES or part in _TOOL_LIBRARIES for part in modules):
        return True
    if "keras" in modules:  # to call a class is to make a layer, of whatever its arguments say
        return name[:1].isupper() or _has_effects(name)
    return name in _CALLS


def is_unsafe_op(op: str) -> bool:
    """Whether a TensorFlow op reads or writes files, reaches the network, or runs Python."""
    return _OPS.search(op) is not None


def _is_tensorflows_keras(module: str) -> bool:
    parts = module.split(".")
    return parts[0] in ("tensorflow", "tensorflow_core") and "keras" in parts[1:4]


def _of_keras(parts: list[str], name: str) -> str:
    inside = [part for part in parts if part not in _WRAPPINGS]
    if "." in name:
        return CODE
    if inside and inside[0] in _MODEL_CLASSES:
        return BUILT_IN if name in _MODEL_CLASSES[inside[0]] else CODE
    if _REVIVED in inside and "saving" in inside and name[:1].isupper():
        return OTHER  # a class that Keras 2 generated when it loaded a SavedModel
    if inside and (
        inside[0] not in _MODEL_MODULES or any(part in _TOOL_MODULES for part in inside)
    ):
        return CODE
    return CODE if _has_effects(name) else BUILT_IN


def _of_tensorflow(parts: list[str], name: str, *, called: bool) -> str:
    if not called:  # the type of an input, or an initializer (EfficientNetV2 has TensorFlow's)
        inside = not any(part in _TOOL_LIBRARIES for part in parts)
        return BUILT_IN if "." not in name and (inside or name.endswith("Spec")) else OTHER
    if "." in name or _has_effects(name) or any(part in _TOOL_LIBRARIES for part in parts):
        return CODE
    return BUILT_IN if _COMPUTING.match(parts[-1]) or parts[-1] in ("math", "nn") else OTHER


def _has_effects(name: str) -> bool:
    return any(word.lower() in _VERBS for word in _WORD.findall(name))
