"""Which names in a configuration are built into Keras, however it spells them.

The installed library is asked for what it has; what only earlier ones had is listed here. Any other
name is the user's, who has to name it in `custom_objects`.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from checkpointd.verify.keras_files.keras_names import is_keras_module
from checkpointd.verify.keras_files.origin import custom_names, objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LAYERS = ("layers", "models", "", "experimental", "layers.experimental.preprocessing")
_NAMESPACES: Mapping[str, tuple[str, ...]] = {
    "layer": _LAYERS,
    "loss": ("losses", "metrics"),
    "metric": ("metrics", "losses"),
    "optimizer": ("optimizers", "optimizers.legacy", "mixed_precision"),
    "activation": ("activations", "layers"),
    "initializer": ("initializers",),
    "regularizer": ("regularizers",),
    "constraint": ("constraints",),
    "": (
        *_LAYERS,
        *("losses", "metrics", "activations", "optimizers", "optimizers.legacy"),
        *("optimizers.schedules", "initializers", "regularizers", "constraints"),
        *("mixed_precision", "dtype_policies", "quantizers", "random"),
    ),
}
"""Where a library keeps its objects, by what its errors call their kind."""

_KERAS_2_INTERNALS = frozenset(
    {"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "TensorShape", "TypeSpec"}
    | {"function", "Functional", "Policy", "InputSpec", "MeanMetricWrapper", "LossFunctionWrapper"}
    | {"TensorFlowOpLayer", "AddLoss", "AddMetric", "ModuleWrapper", "PolicyV1", "PolicyV2"}
    | {"BatchNormalizationV1", "BatchNormalizationV2"}
)
DROPPED = frozenset(
    {
        *("AtrousConvolution1D", "AtrousConvolution2D", "AtrousConv1D", "AtrousConv2D"),
        *("Convolution1D", "Convolution2D", "Convolution3D", "Deconvolution2D", "Deconvolution3D"),
        *("SeparableConvolution1D", "SeparableConvolution2D", "ConvRecurrent2D", "Recurrent"),
        *("Merge", "MaxoutDense", "Highway", "TimeDistributedDense", "TimeDistributedMerge"),
        *("LambdaMerge", "Graph", "Siamese", "SiameseHead", "AutoEncoder", "LRN2D", "JZS1", "JZS2"),
        *("JZS3", "ParametricSoftplus", "SReLU", "DenseLayer", "CuDNNGRU", "CuDNNLSTM"),
        *("CategoryCrossing", "RandomWidth", "RandomHeight", "RandomFourierFeatures"),
        *("ThresholdedReLU", "LocallyConnected1D", "LocallyConnected2D", "SyncBatchNormalization"),
        *("DenseFeatures", "SequenceFeatures", "LinearModel", "WideDeepModel"),
        *("PeepholeLSTMCell", "AlphaDropoutV1", "Deconvolution1D"),
    }
)
"""Classes that Keras had once and has no more, or not in every library that calls itself so."""


def is_built_in(name: str, keras: Any, kind: str = "") -> bool:
    """Whether a name is one of the library's own, so that naming it in the config does not help.

    Args:
        name: as the configuration has it: `Dense`, `Custom>Adam`, `keras.src.layers.Dense`.
        keras: the library.
        kind: what it is named as, such as `layer`; empty for anything.
    """
    name = name.rpartition("Custom>")[2]
    if is_keras_module(name) and "." in name:
        return True
    if name in _KERAS_2_INTERNALS:
        return True
    for namespace in _NAMESPACES.get(kind, _NAMESPACES[""]):
        where = _public(keras)
        for part in filter(None, namespace.split(".")):
            where = getattr(where, part, None)
        if hasattr(where, name) or hasattr(where, name.lower()):
            return True
    if kind in ("", "layer") and name in _class_names(keras.layers):
        return True
    return _is_abbreviation(keras, name) if kind in ("", "loss", "metric") else False


def _class_names(namespace: Any) -> frozenset[str]:
    """What its classes are called: `GroupQueryAttention` is one called GroupedQueryAttention."""
    return frozenset(v.__name__ for v in vars(namespace).values() if isinstance(v, type))


def _public(keras: Any) -> Any:
    """Where a library has its public names: before 2.13, not all of them at its top."""
    try:
        return importlib.import_module(f"{keras.__name__}.api._v2.keras")
    except ImportError:
        return keras


def _is_abbreviation(keras: Any, name: str) -> bool:
    """Whether a name is one such as `mse`, which Keras takes although it is no attribute."""
    return any(_takes(getattr(keras, namespace, None), name) for namespace in ("losses", "metrics"))


def _takes(namespace: Any, name: str) -> bool:
    try:
        return callable(namespace.get(name))
    except Exception:  # noqa: BLE001 - Keras raises various errors for unknown names
        return False


def unresolved(config: Any, keras: Any, custom: Mapping[str, Any]) -> tuple[str, ...]:
    """Find the custom objects that a configuration names and that nothing here resolves.

    Args:
        config: of the model, as the file holds it.
        keras: the library that it is loaded with.
        custom: the custom objects that the settings name.
    """
    registered = getattr(getattr(keras, "saving", None), "get_registered_object", None)
    operations = keras_operations(config, keras)
    return tuple(
        name
        for name, module in custom_names(config).items()
        if name not in custom
        and name not in operations
        and name not in DROPPED
        and not is_built_in(name, keras)
        and not hasattr(sys.modules.get(module), name.rpartition(">")[2])
        and (registered is None or registered(name) is None)
    )


def is_marked_built_in(name: str, config: Any) -> bool:
    """Whether a configuration itself declares that a class or function is Keras's."""
    plain = name.rpartition(">")[2]
    return any(
        is_keras_module(str(node.get("module") or ""))
        and plain in (node.get("class_name"), node.get("config"), node.get("registered_name"))
        for node in objects(config)
    )


def dropped(config: Any) -> tuple[str, ...]:
    """Name the classes of earlier versions of Keras in a configuration, in its order."""
    kinds = (str(node.get("class_name")) for node in objects(config))
    return tuple(dict.fromkeys(kind for kind in kinds if kind in DROPPED))


def keras_operations(config: Any, keras: Any) -> dict[str, Any]:
    """Find the operations of Keras 3, such as `GetItem`, in the configuration of an HDF5 file.

    There Keras writes them as it writes layers, without their module, and searches them among
    layers when it loads. The configuration of a layer holds whether it is trained.

    Returns:
        Their classes by name.
    """
    known = dict(_operations(keras))
    operations: dict[str, Any] = {}
    for node in objects(config):
        kind, inner = node.get("class_name"), node.get("config")
        if not isinstance(kind, str) or kind not in known or "inbound_nodes" not in node:
            continue
        if isinstance(inner, dict) and not {"trainable", "layers"} & set(inner):
            operations[kind] = known[kind]
    return operations


def _operations(keras: Any) -> Iterator[tuple[str, Any]]:
    """Every operation of a library that is no layer; none in Keras 2."""
    base = getattr(keras, "Operation", None)
    waiting = [base] if isinstance(base, type) else []
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if kind.__module__.startswith(f"{keras.__name__}.src.ops."):
            yield kind.__name__, kind
