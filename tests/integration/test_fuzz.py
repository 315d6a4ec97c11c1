"""Mutated checkpoints of every format: each ends in a verdict, and the next good one is valid.

A check that fails with an error of its own is a fault of ours, whatever the file. `make fuzz` runs
as many mutations as asked for (`FUZZ`, a format), from a seed that is printed (`FUZZ_SEED`), and
keeps what went wrong (`FUZZ_KEEP`, a directory); `FUZZ_ONLY=hdf5:17` does one of them again.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.suite import LOAD_CHECKS
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch.local import LocalDispatcher
from tests.helpers.fuzz.formats import FORMATS, mutate
from tests.helpers.scan import request_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNT = int(os.environ.get("FUZZ", "50"))
LOADED = int(os.environ.get("FUZZ_LOAD", "4"))
"""Of so many mutations one is loaded, if the scan lets it through; all others are scanned alone."""
SEED = os.environ.get("FUZZ_SEED") or str(secrets.randbits(32))
KEEP = os.environ.get("FUZZ_KEEP", "")
ONLY = os.environ.get("FUZZ_ONLY", "")

pytestmark = [pytest.mark.slow(60), pytest.mark.timeout(300 + 2 * COUNT)]

BATCH = 50
"""After so many mutations a good checkpoint has to be valid."""
OURS = (
    "The check itself failed with",
    "The worker broke the protocol",
    "The worker exited without a result",
    "The worker was lost",
)
"""What a report says when the fault is ours."""

_MAKE = """
import json, shutil, sys, numpy, keras, tensorflow as tf
for version in ("a", "b"):
    home = f"{sys.argv[1]}/{version}"
    keras.utils.set_random_seed(ord(version))
    model = keras.Sequential([
        keras.layers.Input((6,)), keras.layers.Dense(8, activation="relu"),
        keras.layers.BatchNormalization(), keras.layers.Dense(3)])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError())
    model.fit(numpy.ones((8, 6)), numpy.ones((8, 3)), verbose=0)
    model.save(f"{home}/m.keras")
    model.save_weights(f"{home}/m.weights.h5")
    tf.train.Checkpoint(model=model).write(f"{home}/ckpt-1")
    model.export(f"{home}/export", verbose=False)
    model.save(f"{home}/m.h5")
    shutil.copy(f"{home}/m.weights.h5", f"{home}/s_00000.weights.h5")
    weights = {"layers/dense": "s_00000.weights.h5", "layers/dense_1": ["s_00000.weights.h5"]}
    with open(f"{home}/s.weights.json", "w") as file:
        json.dump({"metadata": {"total_size": 1}, "weight_map": weights}, file)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two saves, `a` and `b`, of one model in every format."""
    home = tmp_path_factory.mktemp("fuzz")
    for version in ("a", "b"):
        (home / version).mkdir()
    subprocess.run([sys.executable, "-c", _MAKE, str(home)], check=True, capture_output=True)
    return home


def cases(form: str) -> Iterator[int]:
    """The numbers of the mutations to make of a format."""
    wanted, _, number = ONLY.partition(":")
    if not ONLY:
        yield from range(COUNT)
    elif wanted == form:
        yield int(number)


def fault(answer: Answer) -> str:
    """What of an answer is a fault of ours; empty if nothing is."""
    if answer.report is None:
        return "" if answer.end is not End.DONE else "no report"
    counts = (c for c in answer.report.checks if c.message.startswith(OURS))
    return next((f"{c.reason}: {c.message}\n{answer.report.stderr}" for c in counts), "")


def summary(answer: Answer) -> str:
    """An answer in a word."""
    if answer.report is None:
        return str(answer.end)
    slowly = " slowly" if answer.report.duration_seconds > 5 else ""
    return (answer.report.reason or str(answer.report.verdict)) + slowly


async def one(
    dispatcher: LocalDispatcher, made: Path, home: Path, form: str, number: int
) -> tuple[str, str, str]:
    """Make a mutation and verify it: what was done, what came of it, what is our fault."""
    rng = random.Random(f"{SEED}:{form}:{number}")  # noqa: S311 - test data
    name = FORMATS[form]
    place = home / form / str(number)
    place.mkdir(parents=True)
    done = await asyncio.to_thread(mutate, made / "a" / name, made / "b" / name, place / name, rng)
    try:
        found = request_for(place / name)
    except AssertionError:
        shutil.rmtree(place)
        return done, "no checkpoint", ""
    overdue = rng.random() < 0.5
    whole = bool(ONLY) or number % LOADED == 0
    settings = VerifySettings(skip=() if whole else LOAD_CHECKS)
    request = Request(found.checkpoint, found.generation, settings, overdue=overdue)
    answer = await dispatcher.verify(request)
    wrong = fault(answer)
    if wrong and KEEP:
        kept = Path(KEEP) / f"{SEED}-{form}-{number}"
        await asyncio.to_thread(shutil.copytree, place, kept, dirs_exist_ok=True)
    shutil.rmtree(place)
    return done, summary(answer), wrong


async def work(made: Path, home: Path) -> tuple[dict[str, Counter[str]], list[str]]:
    """Everything, with one dispatcher, two at a time."""
    counts: dict[str, Counter[str]] = {}
    wrong: list[str] = []
    dispatcher = LocalDispatcher(WorkerSettings(concurrency=2, timeout=10.0), home / "scratch")
    try:
        await dispatcher.warm(VerifySettings())
        for form, name in FORMATS.items():
            numbers = list(cases(form))
            for start in range(0, len(numbers), BATCH):
                batch = numbers[start : start + BATCH]
                results = await asyncio.gather(
                    *(one(dispatcher, made, home, form, number) for number in batch)
                )
                for number, (done, outcome, fault_of_ours) in zip(batch, results, strict=True):
                    counts.setdefault(f"{form:<14}{done}", Counter())[outcome] += 1
                    if fault_of_ours:
                        wrong.append(f"FUZZ_SEED={SEED} FUZZ_ONLY={form}:{number} {done}:")
                        wrong.append(fault_of_ours)
                good = await dispatcher.verify(request_for(made / "a" / name))
                assert good.report is not None, good
                assert good.report.verdict is Verdict.VALID, good.report.message
    finally:
        await dispatcher.close()
    return counts, wrong


def test_every_mutation_ends_in_a_verdict_and_the_next_good_checkpoint_is_valid(
    made: Path, tmp_path: Path, show: Callable[[str], None]
) -> None:
    """One daemon outlives them all, and none makes a check of ours fail."""
    print(f"FUZZ_SEED={SEED}")  # noqa: T201 - shown by pytest when the test fails
    started = time.monotonic()
    counts, wrong = asyncio.run(work(made, tmp_path))
    seconds = time.monotonic() - started
    total = sum(outcomes.total() for outcomes in counts.values())
    lines = [f"FUZZ_SEED={SEED}: {total} mutations in {seconds:.0f} s"]
    for kind, outcomes in sorted(counts.items()):
        words = ", ".join(f"{word} {count}" for word, count in outcomes.most_common())
        lines.append(f"{kind:<30}{outcomes.total():>4}  {words}")
    show("\n".join(lines))
    assert not wrong, "\n".join(wrong)
