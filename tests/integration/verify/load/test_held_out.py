"""Held-out data in a TFRecord, in real children: the same metrics as from an `.npz`, or a sentence.

One dispatcher with its warm zygote runs all cases on records that TensorFlow wrote.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.request import End, Request
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import Evaluation, VerifySettings
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.formats import locate
from checkpointd.verify.load import held_out, tfrecord
from checkpointd.verify.user_code import UserCodeError
from tests.helpers import models

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.report import Report

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

_COUNT = 150
_SHAPES = {"inputs": "float32[2,3]", "labels": "int64[]"}
_WORDS = ("cold", "warm", "hot")


def example(tf: Any, values: dict[str, Any]) -> bytes:
    """One serialized `tf.train.Example`."""

    def feature(value: Any) -> Any:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        array = np.asarray(value)
        if array.dtype.kind == "f":
            return tf.train.Feature(float_list=tf.train.FloatList(value=array.ravel()))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=array.ravel()))

    features = {name: feature(value) for name, value in values.items()}
    made = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(made.SerializeToString(deterministic=True))


def write(tf: Any, path: Path, records: list[bytes], compression: str = "") -> None:
    """Write records as a training job does."""
    options = tf.io.TFRecordOptions(compression_type=compression)
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models and their held-out data, whole and spoiled."""
    import tensorflow as tf

    keras = models.library("keras")
    home = tmp_path_factory.mktemp("records")
    rng = np.random.default_rng(7)
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((2, 3), name="x"), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(home / "m.keras")
    model.export(home / "export", verbose=False)
    texts = layers.TextVectorization(10, output_mode="multi_hot", vocabulary=list(_WORDS))
    keras.Sequential([layers.Input((), dtype="string"), texts, layers.Dense(1)]).save(
        home / "words.keras"
    )

    inputs = rng.integers(0, 255, (_COUNT, 2, 3)).astype("float32")
    labels = rng.integers(0, 3, _COUNT)
    weight = rng.random(_COUNT).astype("float32")
    words = rng.choice(_WORDS, _COUNT)
    np.savez(home / "all.npz", inputs=inputs, labels=labels, sample_weight=weight)
    np.savez(home / "words.npz", inputs=words, labels=labels)
    records = [
        example(
            tf,
            {
                "inputs": x,
                "labels": y,
                "sample_weight": w,
                "image/raw": x.astype("uint8").tobytes(),
                "low/raw": x.astype("<u2").tobytes(),
                "word": str(word).encode(),
            },
        )
        for x, y, w, word in zip(inputs, labels, weight, words, strict=True)
    ]
    for compression in ("", "GZIP", "ZLIB"):
        write(tf, home / f"all{compression}.tfrecord", records, compression)
    whole = (home / "all.tfrecord").read_bytes()
    (home / "torn.tfrecord").write_bytes(whole[:-5])
    (home / "tornGZIP.tfrecord").write_bytes((home / "allGZIP.tfrecord").read_bytes()[:-500])
    spoiled = bytearray(whole)
    spoiled[len(whole) // 2] ^= 1
    (home / "spoiled.tfrecord").write_bytes(spoiled)
    (home / "text.tfrecord").write_text("No record, but rather long, and of no use at all.")
    (home / "empty.tfrecord").touch()
    write(tf, home / "other.tfrecord", [*records[:70], b"\xff\xff no example"])
    write(tf, home / "nameless.tfrecord", [*records[:70], example(tf, {"labels": 1})])
    write(tf, home / "looks_packed.tfrecord", [example(tf, {"x": bytes(0x8B1F - 13)})])
    return home


def data(file: Path, *metrics: str, **features: str) -> VerifySettings:
    """Settings with held-out data."""
    return VerifySettings(evaluate=Evaluation("", str(file), metrics, features))


@pytest.fixture(scope="module")
def reports(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """The report of every case."""
    names = ("accuracy", "crossentropy")
    plain = made / "all.tfrecord"
    weighed = {**_SHAPES, "sample_weight": "float32[]"}
    by_name = {"inputs.x": "raw:uint16[2,3] from low/raw", "labels.y": "int64[] from labels"}
    cases = {
        "npz": ("m.keras", data(made / "all.npz", *names)),
        "npz compiled": ("m.keras", data(made / "all.npz")),
        "npz export": ("export", data(made / "all.npz", *names)),
        "npz words": ("words.keras", data(made / "words.npz", "mse")),
        **{
            f"records {c}": ("m.keras", data(made / f"all{c}.tfrecord", *names, **weighed))
            for c in ("", "GZIP", "ZLIB")
        },
        "compiled": ("m.keras", data(plain, **weighed)),
        "export": ("export", data(plain, *names, **weighed)),
        "raw": (
            "m.keras",
            data(plain, *names, **{**weighed, "inputs": "raw:uint8[2,3] from image/raw"}),
        ),
        "unweighed": ("m.keras", data(plain, *names, **_SHAPES)),
        "raw by name": ("export", data(plain, "accuracy", **by_name)),
        "words": (
            "words.keras",
            data(plain, "mse", **{**_SHAPES, "inputs": "string[] from word"}),
        ),
        "torn": ("m.keras", data(made / "torn.tfrecord", **_SHAPES)),
    }

    async def run() -> dict[str, Report]:
        scratch = tmp_path_factory.mktemp("scratch")
        dispatcher = LocalDispatcher(WorkerSettings.model_validate({"timeout": 60.0}), scratch)
        found = {}
        try:
            await dispatcher.warm(VerifySettings())
            for name, (file, settings) in cases.items():
                place = locate(str(made / file))
                assert place is not None
                checkpoint = Checkpoint(place.path, place.hint)
                answer = await dispatcher.verify(Request(checkpoint, place.generation, settings))
                assert answer.end is End.DONE, (name, answer)
                assert answer.report is not None
                found[name] = answer.report
        finally:
            await dispatcher.close()
        return found

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("case", "same"),
    [
        *((f"records {c}", "npz") for c in ("", "GZIP", "ZLIB")),
        ("compiled", "npz compiled"),
        ("export", "npz export"),
        ("raw", "npz"),
        ("words", "npz words"),
    ],
)
def test_records_give_the_same_metrics_as_an_npz(
    reports: dict[str, Report], case: str, same: str
) -> None:
    """Plain and packed, as numbers, bytes and texts, for a Keras model and a SavedModel."""
    assert reports[case].verdict is Verdict.VALID, reports[case].message
    assert reports[same].verdict is Verdict.VALID, reports[same].message
    found = reports[case].facts.evaluation
    assert found == pytest.approx(reports[same].facts.evaluation, rel=1e-6)
    assert found


def test_each_feature_counts(reports: dict[str, Report]) -> None:
    """Without the weights other values come out, and under other names the same."""
    unweighed, by_name, npz = (
        reports[case].facts.evaluation for case in ("unweighed", "raw by name", "npz")
    )
    assert by_name["accuracy"] == pytest.approx(unweighed["accuracy"])
    assert unweighed["crossentropy"] != pytest.approx(npz["crossentropy"], rel=1e-4)
    digests = {reports[case].facts.evaluated_by for case in ("unweighed", "records ", "npz")}
    assert len(digests) == 3


def test_broken_records_are_no_fault_of_the_checkpoint(reports: dict[str, Report]) -> None:
    """There is no verdict about it."""
    report = reports["torn"]
    assert (report.verdict, report.reason) == (
        Verdict.INCONCLUSIVE,
        "evaluate.evaluate_error",
    )
    assert "its end is missing, after 128 or more whole records: copy" in report.message


@pytest.mark.parametrize(
    ("file", "features", "message"),
    [
        (
            "all.tfrecord",
            {"inputs": "float32[2,3] from image"},
            'low/raw, sample_weight, word: correct inputs in features, as in "float32[2,3] from',
        ),
        (
            "nameless.tfrecord",
            {},
            "its record 70 has no feature 'inputs', it has labels: correct inputs in",
        ),
        (
            "all.tfrecord",
            {"inputs": "float32[2,2]"},
            "'inputs' of its record 0 holds 6 values, and float32[2,2] has 4: correct inputs in",
        ),
        (
            "all.tfrecord",
            {"labels": "float32[]"},
            "'labels' of its record 0 holds int64, not float32[]: correct labels in features",
        ),
        (
            "all.tfrecord",
            {"inputs": "raw:int16[2,3] from image/raw"},
            "'image/raw' of its record 0 is 6 bytes long, and raw:int16[2,3] is 12: correct inputs",
        ),
        ("torn.tfrecord", {}, "its end is missing, after 128 or more whole records: copy"),
        ("tornGZIP.tfrecord", {}, "its end is missing, after "),
        (
            "spoiled.tfrecord",
            {},
            "it is damaged after 64 or more whole records (corrupted record at ",
        ),
        ("text.tfrecord", {}, "it is no TFRecord file: correct data, or leave features out"),
        ("all.npz", {}, "it is no TFRecord file: correct data, or leave features out"),
        ("empty.tfrecord", {}, "it holds no record: write examples into it, or correct data"),
        ("other.tfrecord", {}, "its record 70 is no tf.train.Example, which features needs"),
        ("none.tfrecord", {}, "there is no such file"),
        ("export", {}, "Is a directory"),
        ("looks_packed.tfrecord", {}, "its record 0 has no feature 'inputs', it has x"),
        ("all.tfrecord", None, "it is no .npz file without pickles"),
    ],
)
def test_a_message_about_records_names_the_key(
    made: Path, file: str, features: dict[str, str] | None, message: str
) -> None:
    """What is wrong, in which record, and what to correct in the config."""
    shapes = {} if features is None else {**_SHAPES, **features}
    with pytest.raises(UserCodeError) as caught:
        held_out.read(str(made / file), shapes)
    assert message in str(caught.value)
    assert str(caught.value).startswith("data in [watch.verify] evaluate is '")


@pytest.mark.parametrize(("compression", "streams"), [("GZIP", 2), ("ZLIB", 1)])
def test_compressed_records_that_are_cut_anywhere_are_not_taken_for_whole(
    tmp_path: Path, compression: str, streams: int
) -> None:
    """Nor if what is left unpacks to whole records, which TensorFlow reads without a word."""
    import tensorflow as tf

    file = tmp_path / "records"
    write(tf, file, [example(tf, {"x": number}) for number in range(3)], compression)
    one = file.read_bytes()
    content = one * streams
    file.write_bytes(content)
    features = {"inputs": "int64[] from x"}
    assert tfrecord.arrays(str(file), features)["inputs"].tolist() == [0, 1, 2] * streams
    for size in range(len(content)):
        file.write_bytes(content[:size])
        if size != len(one):
            with pytest.raises(tfrecord.UnreadableDatasetError):
                tfrecord.arrays(str(file), features)


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_compressed_records_with_a_wrong_trailer_are_damaged(
    tmp_path: Path, compression: str
) -> None:
    """The checksum of the whole is asked for."""
    import tensorflow as tf

    file = tmp_path / "records"
    write(tf, file, [example(tf, {"x": number}) for number in range(3)], compression)
    content = file.read_bytes()
    for back in (1, 2, 3, 4):
        spoiled = bytearray(content)
        spoiled[-back] ^= 1
        file.write_bytes(spoiled)
        with pytest.raises(tfrecord.UnreadableDatasetError, match="it is damaged after"):
            tfrecord.arrays(str(file), {"inputs": "int64[] from x"})


@pytest.mark.parametrize(
    ("compression", "message"),
    [("GZIP", "it is damaged after"), ("ZLIB", "something stands behind")],
)
def test_what_stands_behind_compressed_records_is_not_passed_over(
    tmp_path: Path, compression: str, message: str
) -> None:
    """TensorFlow reads the first zlib stream alone: the metrics would be of some of the records."""
    import tensorflow as tf

    file = tmp_path / "records"
    write(tf, file, [example(tf, {"x": number}) for number in range(3)], compression)
    content = file.read_bytes()
    for more in (b"more", bytes(512), *((content,) if compression == "ZLIB" else ())):
        file.write_bytes(content + more)
        with pytest.raises(tfrecord.UnreadableDatasetError, match=message):
            tfrecord.arrays(str(file), {"inputs": "int64[] from x"})
