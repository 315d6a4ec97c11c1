"""Five hundred spoiled checkpoints: with a golden record none that loads otherwise is valid.

Without one, of a third as many, exactly the kinds get through that cannot be known in principle;
the manual names them. What is valid all the same is held against the original by an oracle of its
own, which loads both with TensorFlow and compares what they hold and what they predict.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.request import Answer, End
from checkpointd.core.verdict import Verdict
from checkpointd.dispatch.local import LocalDispatcher
from tests.helpers.corpus import (
    Spoiled,
    bytes_spoilers,
    copied,
    other_version_spoilers,
    weights_spoilers,
)
from tests.helpers.scan import request_for, seeded

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from tests.helpers.corpus import Spoiler

pytestmark = [pytest.mark.slow(80), pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
FORMATS = {
    "m.h5": "hdf5",
    "m.keras": "keras",
    "m.weights.h5": "hdf5_weights",
    "ckpt-1": "tf_checkpoint",
    "export": "savedmodel",
}
CANNOT_BE_KNOWN = {
    ("hdf5", "flipped bit"),
    ("hdf5", "zeroed sector"),
    ("hdf5", "doubled sector"),
    ("hdf5", "values changed"),
    ("hdf5", "zeroed weight"),
    ("hdf5", "wrong dtype"),
    ("hdf5_weights", "flipped bit"),
    ("hdf5_weights", "zeroed sector"),
    ("hdf5_weights", "doubled sector"),
    ("hdf5_weights", "values changed"),
    ("hdf5_weights", "zeroed weight"),
    ("hdf5_weights", "wrong dtype"),
    ("hdf5_weights", "missing weight"),
    ("keras", "values changed"),
    ("keras", "zeroed weight"),
    ("keras", "wrong dtype"),
}
"""What no check can find without a golden record, by format: the list in the page "verdicts"."""

_MAKE = """
import sys, numpy, keras
from checkpointd.training import save

home = sys.argv[1]
for version in ("a", "b"):
    keras.utils.set_random_seed(len(version) + ord(version))
    model = keras.Sequential([
        keras.layers.Input((6,)), keras.layers.Dense(24, activation="relu"),
        keras.layers.BatchNormalization(), keras.layers.Dense(16, activation="tanh"),
        keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.CategoricalCrossentropy())
    x = numpy.random.default_rng(7).normal(size=(32, 6)).astype("float32")
    model.fit(x, numpy.eye(3)[numpy.arange(32) % 3], epochs=1, verbose=0)
    for name, arguments in (
        ("m.keras", {}), ("m.weights.h5", {}), ("ckpt-1", {"format": "tf_checkpoint"}),
        ("export", {}), ("m.h5", {}),
    ):
        save(model, f"{home}/{version}/{name}", golden=x[:4], **arguments)
"""
_ORACLE = """
import json, sys, warnings
import numpy, keras, tensorflow as tf
warnings.simplefilter("ignore")
x = numpy.random.default_rng(8).normal(size=(16, 6)).astype("float32")

def held(path, form):
    # What a user gets: every weight, in order, and what the model predicts.
    if form in ("hdf5", "keras"):
        model = keras.models.load_model(path, compile=False)
        return [*model.get_weights(), model(x).numpy()]
    if form == "hdf5_weights":
        model = keras.Sequential([
            keras.layers.Input((6,)), keras.layers.Dense(24, activation="relu"),
            keras.layers.BatchNormalization(), keras.layers.Dense(16, activation="tanh"),
            keras.layers.Dense(3, activation="softmax")])
        model.load_weights(path)
        return [*model.get_weights(), model(x).numpy()]
    if form == "savedmodel":
        loaded = tf.saved_model.load(path)
        call = loaded.signatures["serving_default"]
        (name,) = call.structured_input_signature[1]
        outputs = call(**{name: tf.constant(x)})
        return [v.numpy() for v in loaded.variables] + [v.numpy() for v in outputs.values()]
    reader = tf.train.load_checkpoint(path)
    names = sorted(reader.get_variable_to_shape_map())
    return [numpy.asarray(reader.get_tensor(n)) for n in names if not n.startswith("_CHECK")]

known = {}
for line in sys.stdin:
    path, original, form = json.loads(line)
    if original not in known:
        known[original] = held(original, form)
    try:
        now = held(path, form)
        same = len(now) == len(known[original]) and all(
            a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
            for a, b in zip(now, known[original]))
        print(json.dumps("same" if same else "other"), flush=True)
    except Exception as error:
        print(json.dumps(f"does not load: {type(error).__name__}"), flush=True)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two saves, `a` and `b`, of one model in every format, with golden records."""
    home = tmp_path_factory.mktemp("corpus")
    subprocess.run([sys.executable, "-c", _MAKE, str(home)], check=True, capture_output=True)
    return home


def spoilers(
    made: Path, name: str, generator: random.Random, share: int
) -> Iterator[tuple[str, Spoiler]]:
    """Everything that is done to one format; to bytes chosen at random one in `share` times."""
    source, other = made / "a" / name, made / "b" / name
    of_files = {"export": (10, 3), "ckpt-1": (20, 8)}
    flips, others = of_files.get(name, (70, 14))
    yield from bytes_spoilers(
        source, generator, flips=flips // share, others=max(1, others // share)
    )
    yield from other_version_spoilers(source, other)
    if name.endswith((".h5", ".keras")):
        yield from weights_spoilers(generator)


def spoil(made: Path, home: Path, *, golden: bool, generator: random.Random) -> list[Spoiled]:
    """Make the corpus."""
    corpus = []
    share = 2 if golden else 4
    for name, form in FORMATS.items():
        for number, (kind, edit) in enumerate(spoilers(made, name, generator, share)):
            path = home / form / str(number) / name
            copied(made / "a" / name, path, golden=golden)
            edit(path)
            corpus.append(Spoiled(path, made / "a" / name, form, kind))
    return corpus


def verify(corpus: list[Spoiled], scratch: Path) -> list[Answer | None]:
    """Verify all of it, two at a time, by real children; None for what names no checkpoint."""

    async def run() -> list[Answer | None]:
        dispatcher = LocalDispatcher(WorkerSettings(concurrency=2, timeout=120.0), scratch)

        async def one(spoiled: Spoiled) -> Answer | None:
            try:
                request = request_for(spoiled.path)
            except AssertionError:
                return None
            return await dispatcher.verify(request)

        try:
            return await asyncio.gather(*(one(spoiled) for spoiled in corpus))
        finally:
            await dispatcher.close()

    return asyncio.run(run())


def is_valid(answer: Answer | None) -> bool:
    """Whether it was called valid."""
    report = answer.report if answer is not None else None
    return report is not None and report.verdict is Verdict.VALID


def oracle(corpus: list[Spoiled]) -> list[str]:
    """What TensorFlow makes of each: the same as the original, other, or it does not load."""
    lines = [json.dumps([str(s.path), str(s.original), s.format]) for s in corpus]
    run = subprocess.run(
        [sys.executable, "-c", _ORACLE],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def table(corpus: list[Spoiled], answers: list[Answer | None], passed: dict[int, str]) -> str:
    """The corpus by format and kind: how many, what was said, and what got through."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    for number, (spoiled, answer) in enumerate(zip(corpus, answers, strict=True)):
        outcomes = rows.setdefault((spoiled.format, spoiled.kind), Counter())
        if answer is None or answer.report is None:
            outcomes[str(answer.end) if answer else "no checkpoint"] += 1
        elif number in passed:
            outcomes[f"valid: {passed[number]}"] += 1
        else:
            outcomes[answer.report.reason or str(answer.report.verdict)] += 1
    lines = []
    for (form, kind), outcomes in sorted(rows.items()):
        words = ", ".join(f"{reason} {count}" for reason, count in outcomes.most_common())
        lines.append(f"{form:<14}{kind:<26}{outcomes.total():>4}  {words}")
    return "\n".join(lines)


@pytest.mark.parametrize("golden", [True, False], ids=["with golden records", "without"])
def test_no_spoiled_checkpoint_that_loads_otherwise_is_valid(
    made: Path, tmp_path: Path, show: Callable[[str], None], *, golden: bool
) -> None:
    """With a record nothing gets through; without, what no check can know, and nothing else."""
    corpus = spoil(made, tmp_path / "corpus", golden=golden, generator=seeded())
    assert len(corpus) >= (250 if golden else 120)
    answers = verify(corpus, tmp_path / "scratch")
    valid = [n for n, answer in enumerate(answers) if is_valid(answer)]
    passed = dict(zip(valid, oracle([corpus[n] for n in valid]), strict=True))
    show(f"{len(corpus)} spoiled, golden records: {golden}\n{table(corpus, answers, passed)}")
    through = {(corpus[n].format, corpus[n].kind) for n, what in passed.items() if what != "same"}
    assert through <= (set() if golden else CANNOT_BE_KNOWN)
    assert not [a for a in answers if a is not None and a.end is End.SUPERSEDED]
