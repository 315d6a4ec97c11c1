"""What programs of TensorFlow 1 write: SavedModels without objects, and Saver's checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.helpers.wild.table import INTACT, LOADS, Case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVE = "serving_default"


class Program:
    """A graph and a session of TensorFlow 1, with what it is about to save."""

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        self.tf, self.v1, self.path = tf, tf.compat.v1, path
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.options: dict[str, Any] = {}
        self.tags = ["serve"]

    def variable(self, name: str = "w", shape: Any = (3, 2), **options: Any) -> Any:
        """Make a variable as `get_variable` does."""
        return self.v1.get_variable(name, shape, **{"use_resource": True, **options})

    def multiply(self, **options: Any) -> None:
        """Take `x`, multiply it with a variable, give `y`."""
        x = self.v1.placeholder(self.tf.float32, [None, 3], name="x")
        self.inputs, self.outputs = {"x": x}, {"y": x @ self.variable(**options)}

    def signature(self, method: str = "tensorflow/serving/predict") -> Any:
        """The SignatureDef of the inputs and outputs."""
        tensors = self.v1.saved_model.build_tensor_info
        return self.v1.saved_model.build_signature_def(
            {k: tensors(v) for k, v in self.inputs.items()},
            {k: tensors(v) for k, v in self.outputs.items()},
            method,
        )

    def start(self, session: Any) -> None:
        """Give variables and tables their values."""
        session.run([self.v1.global_variables_initializer(), self.v1.tables_initializer()])


def saved(make: Callable[[Program], Any], *, as_text: bool = False) -> Callable[[Path], None]:
    """A writer of a SavedModel by the builder; `make` gives its signatures, or None for one."""

    def write(path: Path) -> None:
        program = Program(path)
        v1 = program.v1
        with v1.Graph().as_default(), v1.Session() as session:
            signatures = make(program)
            if signatures is None:
                signatures = {SERVE: program.signature()}
            program.start(session)
            builder = v1.saved_model.Builder(str(path))
            builder.add_meta_graph_and_variables(
                session, program.tags, signature_def_map=signatures, **program.options
            )
            builder.save(as_text=as_text)

    return write


def plain(program: Program) -> None:
    """One resource variable."""
    program.multiply()


def by_reference(program: Program) -> None:
    """One variable of the old kind."""
    program.multiply(use_resource=False)


def partitioned(program: Program) -> None:
    """A variable in parts."""
    partitioner = program.v1.fixed_size_partitioner(3)
    x = program.v1.placeholder(program.tf.float32, [None, 6], name="x")
    parts = program.variable(shape=(6, 2), partitioner=partitioner)
    program.inputs, program.outputs = {"x": x}, {"y": x @ program.tf.convert_to_tensor(parts)}


def constants(program: Program) -> None:
    """No variable at all."""
    x = program.v1.placeholder(program.tf.float32, [None, 3], name="x")
    program.inputs, program.outputs = {"x": x}, {"y": x * 2.0}


def without_signature(program: Program) -> dict[str, Any]:
    """Nothing that could be served."""
    program.multiply()
    return {}


def legacy_init(program: Program) -> None:
    """An op that is run when it is loaded, under its old name."""
    program.multiply()
    program.options["legacy_init_op"] = program.v1.tables_initializer()


def main_op(program: Program) -> None:
    """An op that is run when it is loaded."""
    program.multiply()
    program.options["main_op"] = program.tf.group(program.v1.tables_initializer())


def with_assets(program: Program) -> None:
    """A vocabulary in a file."""
    tf, v1 = program.tf, program.v1
    vocabulary = program.path.with_name("vocabulary.txt")
    vocabulary.write_text("cat\ndog\n")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(vocabulary),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        1,
    )
    x = v1.placeholder(tf.string, [None], name="x")
    program.inputs, program.outputs = {"x": x}, {"y": table.lookup(x)}
    program.options["assets_collection"] = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
    program.options["main_op"] = v1.tables_initializer()


def beside_training(program: Program) -> None:
    """What a training job had in its graph too: readers, a Python function, more savers."""
    tf, v1 = program.tf, program.v1
    program.multiply()
    image = tf.io.read_file("/nonexistent/image.png")
    v1.py_func(lambda data: data, [image], tf.string)
    v1.TextLineReader().read(v1.train.string_input_producer(["/nonexistent/lines"]))
    v1.train.Saver(sharded=True)
    v1.train.Saver()


def data_sets(program: Program) -> None:
    """The data sets that a training job read, cached and with Python in them; its summaries."""
    tf, v1 = program.tf, program.v1
    program.multiply()
    records = v1.data.TFRecordDataset(["/nonexistent/a", "/nonexistent/b"]).cache("/nonexistent/c")
    decoded = records.map(lambda r: v1.py_func(lambda data: data, [r], tf.string))
    v1.data.make_one_shot_iterator(decoded.batch(2)).get_next()
    lines = v1.data.Dataset.list_files("/nonexistent/*", shuffle=False)
    v1.data.make_initializable_iterator(lines.interleave(v1.data.TextLineDataset)).get_next()
    tf.summary.create_file_writer("/nonexistent/logs")


def warm_started(program: Program) -> None:
    """Variables whose initializers read another checkpoint, which is not there any more."""
    v1 = program.v1
    other = str(program.path.with_name("other.ckpt"))
    by_saver(plain, step=None)(program.path.with_name("other.ckpt"))
    program.multiply()
    v1.train.init_from_checkpoint(other, {"w": "w"})


def classify(program: Program) -> dict[str, Any]:
    """Serialised examples, for the classify, regress and predict methods."""
    tf, v1 = program.tf, program.v1
    examples = v1.placeholder(tf.string, [None], name="examples")
    features = {"x": tf.io.FixedLenFeature([3], tf.float32, default_value=[0.0, 0.0, 0.0])}
    scores = tf.nn.softmax(tf.io.parse_example(examples, features)["x"] @ program.variable())
    program.inputs, program.outputs = {"inputs": examples}, {"scores": scores}
    first = program.signature("tensorflow/serving/classify")
    program.outputs = {"outputs": scores[:, 0]}
    return {SERVE: first, "regress": program.signature("tensorflow/serving/regress")}


def open_rank(program: Program) -> None:
    """A placeholder without a shape."""
    x = program.v1.placeholder(program.tf.float32, name="x")
    program.inputs, program.outputs = {"x": x}, {"y": x * program.variable(shape=())}


def stripped(program: Program) -> None:
    """Default attributes left out."""
    program.multiply()
    program.options["strip_default_attrs"] = True


def training_alone(program: Program) -> None:
    """A graph that is tagged for training and for nothing else."""
    program.multiply()
    program.tags = ["train"]


def two_tags(program: Program) -> None:
    """One graph with two tags."""
    program.multiply()
    program.tags = ["serve", "tpu"]


def several_graphs(path: Path) -> None:
    """A graph to train and one to serve, in one directory."""
    program = Program(path)
    v1 = program.v1
    builder = v1.saved_model.Builder(str(path))
    for number, tags in enumerate((["train"], ["serve"], ["serve", "gpu"])):
        with v1.Graph().as_default(), v1.Session() as session:
            program.multiply()
            program.start(session)
            signatures = {SERVE: program.signature()}
            if number:
                builder.add_meta_graph(tags, signature_def_map=signatures)
            else:
                builder.add_meta_graph_and_variables(session, tags, signature_def_map=signatures)
    builder.save()


def simple(path: Path) -> None:
    """`simple_save`."""
    program = Program(path)
    v1 = program.v1
    with v1.Graph().as_default(), v1.Session() as session:
        program.multiply()
        program.start(session)
        v1.saved_model.simple_save(session, str(path), program.inputs, program.outputs)


def by_saver(
    make: Callable[[Program], Any], *, step: int | None = 1, **options: Any
) -> Callable[[Path], None]:
    """A writer of a checkpoint by `Saver`."""

    def write(path: Path) -> None:
        program = Program(path)
        v1 = program.v1
        with v1.Graph().as_default(), v1.Session() as session:
            made = make(program)
            program.start(session)
            saver = v1.train.Saver(made if isinstance(made, dict) else None, **options)
            saver.save(session, str(path).removesuffix("-1"), global_step=step)

    return write


def minimised(optimizer: str, *arguments: float) -> Callable[[Program], None]:
    """A maker of a graph with an optimizer's slots."""

    def make(program: Program) -> None:
        tf, v1 = program.tf, program.v1
        program.multiply()
        kind = getattr(v1.train, optimizer)
        kind(*arguments).minimize(
            tf.reduce_sum(program.outputs["y"]), global_step=v1.train.get_or_create_global_step()
        )

    return make


def averaged(program: Program) -> None:
    """Moving averages of the weights."""
    program.multiply()
    program.v1.train.ExponentialMovingAverage(0.9).apply(program.v1.trainable_variables())


def renamed(program: Program) -> dict[str, Any]:
    """Variables under other names than their own."""
    return {"other/näme": program.variable(), "b": program.variable("v", ())}


def of_every_type(program: Program) -> None:
    """Numbers of every type that a variable of TensorFlow 1 has."""
    for kind in ("float16", "float64", "bfloat16", "int8", "int64", "uint16", "complex64", "bool"):
        program.variable(kind, (2,), dtype=getattr(program.tf, kind), initializer=_zeros(kind))
    program.variable("text", (), dtype=program.tf.string, initializer=lambda *_, **__: "ä\0b")


def _zeros(kind: str) -> Any:
    def make(shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        import tensorflow as tf

        return tf.cast(tf.zeros(shape), dtype or kind)

    return make


SAVED = {
    "a resource variable": plain,
    "a variable of the old kind": by_reference,
    "a partitioned variable": partitioned,
    "no variables at all": constants,
    "a legacy_init_op": legacy_init,
    "a main_op": main_op,
    "a vocabulary among its assets": with_assets,
    "a training job's readers beside it": beside_training,
    "a training job's data sets beside it": data_sets,
    "initializers that read another checkpoint": warm_started,
    "signatures to classify and to regress": classify,
    "default attributes left out": stripped,
    "a tag for training alone": training_alone,
    "two tags on one graph": two_tags,
}

SAVERS: dict[str, Any] = {
    "one variable": by_saver(plain),
    "no step in its name": by_saver(plain, step=None),
    "a partitioned variable": by_saver(partitioned),
    "a variable of the old kind": by_saver(by_reference),
    "shards": by_saver(minimised("AdamOptimizer"), sharded=True),
    "Adam's slots": by_saver(minimised("AdamOptimizer")),
    "the momentum's slots": by_saver(minimised("MomentumOptimizer", 0.1, 0.9)),
    "RMSProp's slots": by_saver(minimised("RMSPropOptimizer", 0.1)),
    "Ftrl's slots": by_saver(minimised("FtrlOptimizer", 0.1)),
    "moving averages": by_saver(averaged),
    "other names than its variables have": by_saver(renamed),
    "variables of every type": by_saver(of_every_type),
}


def _ending(said: str) -> str:
    return ".ckpt" if said.startswith("no step") else ".ckpt-1"


CASES = (
    *(Case(f"a TensorFlow 1 SavedModel with {said}", saved(make)) for said, make in SAVED.items()),
    Case("a TensorFlow 1 SavedModel without a signature", saved(without_signature), shows=LOADS),
    Case("a TensorFlow 1 SavedModel with an input of any rank", saved(open_rank), shows=LOADS),
    Case("a TensorFlow 1 SavedModel of simple_save", simple),
    Case("a TensorFlow 1 SavedModel with graphs for three sets of tags", several_graphs),
    Case("a TensorFlow 1 SavedModel as text", saved(plain, as_text=True)),
    *(
        Case(f"a TensorFlow 1 checkpoint with {said}", write, _ending(said), INTACT)
        for said, write in SAVERS.items()
    ),
)
