"""SavedModels whose graph reaches outside, as it loads or when a signature is run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.helpers.attacks.table import (
    BOMB,
    FOREIGN,
    MALFORMED,
    TRAVERSAL,
    TRUNCATED,
    UNSAFE_OP,
    attack,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers.attacks.table import Site

LOAD = "saved_model"
"""`tf.saved_model.load`, and every signature called."""
MISSING = "structure.missing_member"
RUNS = ("inference.inference_error", "inference.timeout", "inference.out_of_memory")


def save(path: Path, body: Callable[[Any], Any], **parts: Any) -> None:
    """A SavedModel of one variable and one signature."""
    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.Variable(tf.ones((4, 3)), name="kernel")
    for name, part in parts.items():
        setattr(module, name, part)

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
    def serve(x: Any) -> Any:
        return {"y": body(x) + x @ module.kernel}

    module.serve = serve
    tf.saved_model.save(module, str(path), signatures=serve)


def writes_as_it_loads(path: Path, marker: str) -> None:
    """A resource whose initializer writes a file: no signature has to be called."""
    import tensorflow as tf

    class Writes(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc]
        """A table that is none."""

        def _create_resource(self) -> Any:
            return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

        def _initialize(self) -> None:
            tf.io.write_file(marker, "x")

    resource = Writes()

    def body(_x: Any) -> Any:
        return tf.cast(tf.size(resource.resource_handle[None]), tf.float32) * 0.0

    save(path, body, resource=resource)


def edited(path: Path, edit: Callable[[Any], None]) -> None:
    """Change the parsed `saved_model.pb`."""
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((path / "saved_model.pb").read_bytes())
    edit(proto)
    (path / "saved_model.pb").write_bytes(proto.SerializeToString())
    (path / "fingerprint.pb").unlink(missing_ok=True)


@attack("initializer_write_file", "", UNSAFE_OP, oracle=LOAD)
def initializer_write_file(site: Site, path: Path) -> None:
    """WriteFile in an initializer: it runs when the model is loaded."""
    writes_as_it_loads(path, site.marker("initializer_write_file"))


@attack("text_graph", "", UNSAFE_OP, MALFORMED, MISSING, "safety.needs_code", oracle=LOAD)
def text_graph(site: Site, path: Path) -> None:
    """The same as `saved_model.pbtxt`, which TensorFlow reads too."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    writes_as_it_loads(path, site.marker("text_graph"))
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((path / "saved_model.pb").read_bytes())
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(proto))
    (path / "saved_model.pb").unlink()
    (path / "fingerprint.pb").unlink()


def _zero(value: Any) -> Any:
    import tensorflow as tf

    return tf.cast(tf.size(value), tf.float32)


def _saves(marker: str, x: Any) -> Any:
    import tensorflow as tf

    saved = tf.raw_ops.SaveV2(prefix=marker, tensor_names=["a"], shape_and_slices=[""], tensors=[x])
    with tf.control_dependencies([saved]):
        return tf.identity(0.0)


def _prints(marker: str, x: Any) -> Any:
    import tensorflow as tf

    tf.print(x, output_stream=f"file://{marker}")
    return 0.0


def _writes(marker: str, x: Any) -> Any:
    import tensorflow as tf

    del x
    tf.io.write_file(marker, "x")
    return 0.0


def _debugs(marker: str, x: Any) -> Any:
    import tensorflow as tf

    seen = tf.raw_ops.DebugIdentityV2(
        input=x, tfdbg_context_id="a", op_name="b", tensor_debug_mode=8,
        debug_urls=[f"file://{marker}"],
    )  # fmt: skip
    return _zero(seen)


def _python(marker: str, x: Any) -> Any:
    import tensorflow as tf

    def call(values: Any) -> Any:
        Path(marker).touch()
        return values

    return _zero(tf.numpy_function(call, [x], tf.float32))


def _reads(canary: str, x: Any) -> Any:
    import tensorflow as tf

    data = tf.io.decode_raw(tf.strings.substr(tf.io.read_file(canary), 0, 12), tf.float32)
    return x[:, :1] * 0.0 + data


def _matches(canary: str, x: Any) -> Any:
    import tensorflow as tf

    return x[:, :1] * 0.0 + _zero(tf.io.matching_files(canary + "*"))


def _lines(canary: str, x: Any) -> Any:
    import tensorflow as tf

    count = tf.data.TextLineDataset(canary).reduce(0.0, lambda total, _line: total + 1.0)
    return x[:, :1] * 0.0 + count


def _signatures() -> None:
    for name, reasons, body, reads in (
        ("signature_write_file", (UNSAFE_OP,), _writes, False),
        ("signature_save", (UNSAFE_OP, FOREIGN), _saves, False),
        ("signature_print_file", (UNSAFE_OP,), _prints, False),
        ("signature_debug_file", (UNSAFE_OP,), _debugs, False),
        ("signature_python", (UNSAFE_OP, "safety.code"), _python, False),
        ("signature_read_file", (UNSAFE_OP, FOREIGN), _reads, True),
        ("signature_matching_files", (UNSAFE_OP, FOREIGN), _matches, True),
        ("signature_text_lines", (UNSAFE_OP, FOREIGN), _lines, True),
    ):

        def write(
            site: Site,
            path: Path,
            name: str = name,
            body: Callable[[str, Any], Any] = body,
            reads: bool = reads,
        ) -> None:
            where = site.canary if reads else site.marker(name)
            save(path, lambda x: body(where, x))

        attack(name, "", *reasons, oracle=LOAD)(write)


_signatures()


@attack("signature_restore", "", UNSAFE_OP, FOREIGN, oracle=LOAD)
def signature_restore(site: Site, path: Path) -> None:
    """RestoreV2 from a prefix of its own: another checkpoint's values come out."""
    import tensorflow as tf

    def body(x: Any) -> Any:
        (value,) = tf.raw_ops.RestoreV2(
            prefix=str(site.home / "good" / "secret"),
            tensor_names=["v/.ATTRIBUTES/VARIABLE_VALUE"],
            shape_and_slices=[""],
            dtypes=[tf.float32],
        )
        return x[:, :1] * 0.0 + value

    save(path, body)


@attack("signature_merge", "", UNSAFE_OP, FOREIGN, oracle=LOAD)
def signature_merge(site: Site, path: Path) -> None:
    """MergeV2Checkpoints to a place of its own."""
    import tensorflow as tf

    def body(x: Any) -> Any:
        tf.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=[str(site.home / "good" / "part")],  # which it moves
            destination_prefix=site.marker("signature_merge"),
            delete_old_dirs=False,
        )
        return _zero(x)

    save(path, body)


@attack("unregistered_op", "", "safety.needs_code", UNSAFE_OP, "load.load_error", oracle=LOAD)
def unregistered_op(site: Site, path: Path) -> None:
    """An op that no TensorFlow has."""
    del site
    save(path, lambda x: x[:, :1] * 0.0)

    def edit(proto: Any) -> None:
        for function in proto.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                if node.op == "MatMul":
                    node.op = "MatMulOfMyOwn"

    edited(path, edit)


@attack("recursive_function", "", BOMB, UNSAFE_OP, MALFORMED, cve="CVE-2022-23591", oracle=LOAD)
def recursive_function(site: Site, path: Path) -> None:
    """A function that calls itself."""
    import tensorflow as tf

    del site
    inner = tf.function(lambda x: tf.reduce_sum(x) * 0.0, autograph=False)
    save(path, inner)

    def edit(proto: Any) -> None:
        for function in proto.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                if "f" in node.attr and node.attr["f"].func.name:
                    node.attr["f"].func.name = function.signature.name

    edited(path, edit)


@attack("endless_loop", "", "inference.timeout", UNSAFE_OP, oracle=LOAD)
def endless_loop(site: Site, path: Path) -> None:
    """A loop whose condition always holds: nobody sees that by looking."""
    import tensorflow as tf

    del site

    def body(x: Any) -> Any:
        start = tf.reduce_sum(x) * 0.0
        (end,) = tf.while_loop(lambda i: i < 1.0, lambda i: (i * 0.5,), (start,))
        return end

    save(path, body)


@attack("tile_bomb", "", *RUNS, BOMB, oracle=LOAD)
def tile_bomb(site: Site, path: Path) -> None:
    """A small input that is repeated until memory is gone."""
    import tensorflow as tf

    del site
    save(path, lambda x: tf.reduce_max(tf.tile(x[:1] * 0.0, [1 << 17, 1 << 15])))


@attack("asset_climbs", "", TRAVERSAL, MISSING, oracle=LOAD)
def asset_climbs(site: Site, path: Path) -> None:
    """An asset whose name leads out of the directory."""
    import tensorflow as tf

    vocabulary = site.home / "good" / "vocabulary.txt"
    vocabulary.write_text("a\nb\n")
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            str(vocabulary), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        -1,
    )  # fmt: skip
    save(path, lambda x: x[:, :1] * 0.0 + tf.cast(table.size(), tf.float32), table=table)

    def edit(proto: Any) -> None:
        for asset in proto.meta_graphs[0].asset_file_def:
            asset.filename = "../../../../canary"

    edited(path, edit)
    shutil.rmtree(path / "assets")


def _broken() -> None:
    for name, data in (
        ("graph_garbage", b"\x12\xff\xff\xff\xff\x0f" + bytes(100)),
        ("graph_wrong_types", b"\x08\x01\x10\x05\x12\x08\x0d\x00\x00\x00\x00\x2a\x01a"),
        ("graph_endless_varint", b"\xff" * 4096),
        ("graph_groups", b"\x13" * 4096),
    ):

        def write(site: Site, path: Path, data: bytes = data) -> None:
            del site
            save(path, lambda x: x[:, :1] * 0.0)
            (path / "saved_model.pb").write_bytes(data)
            (path / "fingerprint.pb").unlink()

        attack(name, "", MALFORMED, TRUNCATED, "load.load_error", oracle=LOAD)(write)


_broken()
