"""The fields of a SavedModel's text that are looked at, by name, with their numbers.

Sources: tensorflow/core/protobuf/{saved_model,meta_graph,saver,saved_object_graph}.proto and
core/framework/{graph,function,node_def,attr_value,tensor}.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Kind = Any
    Schema = dict[str, tuple[int, Kind]]

STRING, INTEGER, TYPE, COUNTED, BOOLEAN = "string", "integer", "type", "counted", "boolean"
"""What a field may be besides a message: of what is counted only the number of values is kept."""

_EXPANDED = "[type.googleapis.com/tensorflow.AssetFileDef]"
"""How an asset is written where a message of any kind may stand, as in TensorFlow 1."""


def _strings(**numbers: int) -> Schema:
    return {name: (number, STRING) for name, number in numbers.items()}


def _entry(value: Kind) -> Schema:
    return {"key": (1, STRING), "value": (2, value)}


_FUNCTION: Schema = {"name": (1, STRING)}
_SHAPE: Schema = {"dim": (2, {"size": (1, INTEGER)})}
_TENSOR: Schema = {
    "dtype": (1, TYPE),
    "tensor_shape": (2, _SHAPE),
    "int_val": (7, INTEGER),
    "int64_val": (10, INTEGER),
    "float_val": (5, COUNTED),
    "double_val": (6, COUNTED),
    "scomplex_val": (9, COUNTED),
    "bool_val": (11, COUNTED),
    "dcomplex_val": (12, COUNTED),
    "half_val": (13, COUNTED),
    "uint32_val": (16, COUNTED),
    "uint64_val": (17, COUNTED),
    **_strings(tensor_content=4, string_val=8, float8_val=18),
}
_LIST: Schema = {"s": (2, STRING), "func": (9, _FUNCTION)}
_ATTRIBUTES: Schema = _entry(
    {
        **_strings(s=2, placeholder=9),
        "tensor": (8, _TENSOR),
        "list": (1, _LIST),
        "func": (10, _FUNCTION),
    }
)
_FUNCTION["attr"] = (2, _ATTRIBUTES)
_NODE: Schema = {**_strings(name=1, op=2, input=3), "attr": (5, _ATTRIBUTES)}
_ARGUMENT, _RESULT = (2, _strings(name=1)), (3, _strings(name=1))
_LIBRARY: Schema = {
    "gradient": (2, _strings(function_name=1, gradient_func=2)),
    "registered_gradients": (3, _strings(gradient_func=1)),
    "function": (
        1,
        {
            "signature": (
                1,
                {"name": (1, STRING), "input_arg": _ARGUMENT, "output_arg": _RESULT},
            ),
            "node_def": (3, _NODE),
            "ret": (4, _entry(STRING)),
            "attr": (5, _entry({})),
        },
    ),
}
_INFO: Schema = {
    "name": (1, STRING),
    "dtype": (2, TYPE),
    "tensor_shape": (3, {**_SHAPE, "unknown_rank": (3, BOOLEAN)}),
}
_INFO["coo_sparse"] = (
    4,
    _strings(values_tensor_name=1, indices_tensor_name=2, dense_shape_tensor_name=3),
)
_INFO["composite_tensor"] = (5, {"components": (2, _INFO)})
_OBJECT: Schema = {
    "children": (1, {"node_id": (1, INTEGER)}),
    "asset": (5, {}),
    "function": (6, _strings(concrete_functions=1)),
    "bare_concrete_function": (8, _strings(concrete_function_name=1)),
    "constant": (9, _strings(operation=1)),
    "resource": (10, {}),
    "saveable_objects": (
        11,
        _entry({"save_function": (2, INTEGER), "restore_function": (3, INTEGER)}),
    ),
}
_OBJECTS: Schema = {
    "nodes": (1, _OBJECT),
    "concrete_functions": (2, _entry({"bound_inputs": (2, INTEGER)})),
}
_ASSET: Schema = {"tensor_info": (1, _INFO), "filename": (2, STRING)}
_ANY: Schema = {"type_url": (1, STRING), "value": (2, STRING), _EXPANDED: (2, _ASSET)}
_COLLECTION: Schema = {
    "node_list": (1, _strings(value=1)),
    "bytes_list": (2, _strings(value=1)),
    "any_list": (5, {"value": (1, _ANY)}),
}
_META_GRAPH: Schema = {
    "meta_info_def": (1, _strings(tags=4, tensorflow_version=5)),
    "graph_def": (2, {"node": (1, _NODE), "library": (2, _LIBRARY)}),
    "saver_def": (3, _strings(filename_tensor_name=1, save_tensor_name=2, restore_op_name=3)),
    "collection_def": (4, _entry(_COLLECTION)),
    "signature_def": (
        5,
        _entry(
            {
                "inputs": (1, _entry(_INFO)),
                "outputs": (2, _entry(_INFO)),
                "defaults": (4, _entry({})),
            }
        ),
    ),
    "asset_file_def": (6, _ASSET),
    "object_graph_def": (7, _OBJECTS),
}
SAVED_MODEL: Schema = {"meta_graphs": (2, _META_GRAPH)}
VERSION = "saved_model_schema_version"

OTHERS = {
    "item": "an object detection's label map",
    "model": "the configuration of a training pipeline",
    "train_config": "the configuration of a training pipeline",
    "node": "a graph without a SavedModel around it (a GraphDef)",
    "versions": "a graph without a SavedModel around it (a GraphDef)",
    "library": "a graph without a SavedModel around it (a GraphDef)",
    "graph_def": "one graph without a SavedModel around it (a MetaGraphDef)",
    "meta_info_def": "one graph without a SavedModel around it (a MetaGraphDef)",
    "model_checkpoint_path": "the state file of a training job",
    "layer": "a Caffe network",
    "feature": "a schema of TensorFlow Metadata",
}
"""What a text is that has such a field at its top, where a SavedModel has none."""
