"""SavedModels that make a path of their own look like an asset's, or hide who runs an op."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tests.helpers.attacks.saved_models import LOAD, edited, save
from tests.helpers.attacks.table import FOREIGN, UNSAFE_OP, attack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.helpers.attacks.table import Site


def word(read: Any) -> Any:
    """The first bytes of a file as a number, which comes out of the model."""
    import tensorflow as tf

    return tf.ensure_shape(tf.io.decode_raw(tf.strings.substr(read, 0, 12), tf.float32), [3])


def vocabulary(site: Site) -> str:
    """A file that may be an asset; longer than what is read of it."""
    path = site.home / "good" / "words.txt"
    path.write_text("a word of twelve bytes and more\n")
    return str(path)


def built(path: Path, make: Callable[[Any], tuple[Any, Any]]) -> None:
    """A SavedModel of TensorFlow 1: `make` gives what is read, and the op of its loading."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        read, main_op = make(v1)
        y = x @ v1.get_variable("kernel", (4, 3)) + read
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=main_op
        )
        builder.save()


@attack("loop_changes_path", "", UNSAFE_OP, oracle=LOAD)
def loop_changes_path(site: Site, path: Path) -> None:
    """The first round of a loop reads an asset, the second one another file."""
    import tensorflow as tf

    asset = tf.saved_model.Asset(vocabulary(site))

    def body(x: Any) -> Any:
        def turn(n: Any, name: Any, _read: Any) -> Any:
            with tf.control_dependencies([name]):
                return n + 1, tf.constant(site.canary), word(tf.io.read_file(name))

        start = (tf.constant(0), tf.identity(asset.asset_path), tf.zeros([3]))
        return x[:, :1] * 0.0 + tf.while_loop(lambda n, *_: n < 2, turn, start)[2]

    save(path, body, asset=asset)


@attack("asset_is_computed", "", UNSAFE_OP, oracle=LOAD)
def asset_is_computed(site: Site, path: Path) -> None:
    """The tensor of an asset is a path put together, which a signature is not fed."""
    import tensorflow as tf

    def make(v1: Any) -> Any:
        name = tf.strings.join([os.path.dirname(site.canary) + "/", "canary"], name="name")
        return word(v1.read_file(name)), None

    built(path, make)
    (path / "assets").mkdir()
    (path / "assets" / "words.txt").write_text("a word")

    def edit(proto: Any) -> None:
        added = proto.meta_graphs[0].asset_file_def.add(filename="words.txt")
        added.tensor_info.name = "name:0"

    edited(path, edit)


@attack("asset_is_a_neighbour", "", UNSAFE_OP)
def asset_is_a_neighbour(site: Site, path: Path) -> None:
    """The asset is one output of a node, the path that loading reads is another one's."""
    import tensorflow as tf

    def make(v1: Any) -> Any:
        names = tf.split(tf.constant([site.canary, "words.txt"]), 2, name="names")
        read = word(v1.read_file(tf.reshape(names[0], [])))
        kept = v1.get_variable(
            "kept", initializer=tf.zeros([3]), collections=[v1.GraphKeys.LOCAL_VARIABLES]
        )
        return kept, kept.assign(read).op

    built(path, make)
    (path / "assets").mkdir()
    (path / "assets" / "words.txt").write_text("a word")

    def edit(proto: Any) -> None:
        graph = proto.meta_graphs[0]
        added = graph.asset_file_def.add(filename="words.txt")
        added.tensor_info.name = "names:1"

    edited(path, edit)


@attack("default_of_no_input", "", UNSAFE_OP, oracle=LOAD)
def default_of_no_input(site: Site, path: Path) -> None:
    """A placeholder that nobody feeds, whose default is a path."""
    import tensorflow as tf

    def make(v1: Any) -> Any:
        name = v1.placeholder_with_default(tf.constant(site.canary), [])
        return word(v1.read_file(name)), None

    built(path, make)


@attack("local_variable_writes", "", UNSAFE_OP, oracle=LOAD)
def local_variable_writes(site: Site, path: Path) -> None:
    """TensorFlow 2 initialises the local variables of a graph that names no op for it."""
    import tensorflow as tf

    def make(v1: Any) -> Any:
        wrote = v1.write_file(site.marker("local_variable_writes"), "x")
        with tf.control_dependencies([wrote]):
            start = tf.zeros([3])
        return (
            v1.get_variable(
                "kept",
                initializer=start,
                collections=[v1.GraphKeys.LOCAL_VARIABLES],
                use_resource=False,
            ),
            None,
        )

    built(path, make)


@attack("restoring_writes", "", UNSAFE_OP, oracle=LOAD)
def restoring_writes(site: Site, path: Path) -> None:
    """What restores an object is handed a path that lies among the variables."""
    import tensorflow as tf
    from tensorflow.python.trackable.base import Trackable

    class Restored(Trackable):  # type: ignore[misc]
        """An object with a state of its own."""

        def _serialize_to_tensors(self) -> Any:
            return {"path": tf.constant(site.marker("restoring_writes"))}

        def _restore_from_tensors(self, tensors: Any) -> Any:
            return tf.io.write_file(tf.ensure_shape(tensors["path"], []), "x")

    save(path, lambda x: x[:, :1] * 0.0, restored=Restored())


@attack("table_of_parts", "", FOREIGN, UNSAFE_OP, oracle=LOAD)
def table_of_parts(site: Site, path: Path) -> None:
    """A table whose file's path is put together while it is loaded."""
    import tensorflow as tf

    class Parts(tf.lookup.TextFileInitializer):  # type: ignore[misc]
        """Reads its words from a file that is no asset."""

        def initialize(self, table: Any) -> Any:
            name = tf.strings.join([os.path.dirname(site.canary), "canary"], "/")
            return tf.raw_ops.InitializeTableFromTextFileV2(
                table_handle=table.resource_handle, filename=name, key_index=-1, value_index=-2
            )

    number, line = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    parts = Parts(vocabulary(site), tf.int64, number, tf.string, line)
    table = tf.lookup.StaticHashTable(parts, "")

    def body(x: Any) -> Any:
        return x[:, :1] * 0.0 + word(table.lookup(tf.constant(0, tf.int64)))

    save(path, body, table=table)


@attack("asset_links_out", "", FOREIGN)
def asset_links_out(site: Site, path: Path) -> None:
    """An asset that is a link to a file of the system."""
    import tensorflow as tf

    asset = tf.saved_model.Asset(vocabulary(site))
    save(path, lambda x: x[:, :1] * 0.0 + word(tf.io.read_file(asset.asset_path)), asset=asset)
    (path / "assets" / "words.txt").unlink()
    (path / "assets" / "words.txt").symlink_to("/etc/passwd")
