"""Saves and copies that are not finished: whatever has arrived so far is never called broken."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.core.request import End, Former, Request
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.formats import ProbeState, locate, probe
from checkpointd.verify.scan.scan_stage import scan
from checkpointd.watch.events import Reconciled
from tests.helpers.scan import request_for, seeded
from tests.helpers.watch import ready, watching, write_keras

if TYPE_CHECKING:
    from checkpointd.core.check_result import CheckResult
    from checkpointd.watch.events import GenerationUpdate

_MAKE = """
import sys, keras, numpy, tensorflow as tf, tf_keras
home = sys.argv[1]
open(home + "/vocabulary.txt", "w").write("a b c")

class Module(tf.Module):
    def __init__(self, value):
        self.asset = tf.saved_model.Asset(home + "/vocabulary.txt")
        self.v = tf.Variable(tf.fill([64, 64], value))

    @tf.function(input_signature=[tf.TensorSpec([None, 64])])
    def f(self, x):
        return x @ self.v

for turn in (1, 2):
    module = Module(float(turn))
    tf.saved_model.save(module, f"{home}/exported-{turn}")
    tf.train.Checkpoint(v=module.v, w=tf.Variable(tf.zeros([9]))).write(f"{home}/saved-{turn}")
    model = tf_keras.Sequential([tf_keras.layers.Dense(turn + 1, input_shape=(3,))])
    model.compile("adam", "mse")
    model.save(f"{home}/keras2-{turn}")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(turn + 1)])
    model.save(f"{home}/unzipped-{turn}", zipped=False)
"""
_LIMIT = 150


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generations of each kind that consists of several files, by their real writers."""
    home = tmp_path_factory.mktemp("made")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(
        [sys.executable, "-c", _MAKE, str(home)], check=True, capture_output=True, env=environment
    )
    return home


def members(path: Path) -> list[str]:
    """What is appended to a checkpoint's path for each of its files, in the order of writing."""
    found = locate(str(path))
    assert found is not None
    ordered = sorted(found.generation.members, key=lambda m: (m.mtime_ns, m.name))
    return [member.name for member in ordered]


def bring(source: Path, target: Path, name: str, *, keep_times: bool) -> None:
    """Copy one file of a checkpoint, as `cp` or as `cp -p` does."""
    there = f"{target}{name}"
    os.makedirs(os.path.dirname(there), exist_ok=True)
    (shutil.copy2 if keep_times else shutil.copy)(f"{source}{name}", there)


def judge(
    path: Path, *, overdue: bool = False, former: Former | None = None
) -> tuple[End | None, list[CheckResult]]:
    """What the daemon makes of a path as it is now; None while its probe waits on."""
    found = locate(str(path))
    waits = found is None or (probe(found).state is not ProbeState.COMPLETE and not overdue)
    if waits and (found is None or former is None):
        return None, []
    results: list[CheckResult] = []
    idle = former is not None  # what is idle is judged with less caution
    request = replace(request_for(path), overdue=overdue, idle=idle, former=former)
    return scan(request, results.append)[0], results


def former_of(path: Path) -> Former:
    """What the last report about a path has of it, which is whole."""
    request = request_for(path)
    return Former(request.generation, scan(request, lambda _: None)[1])


def is_blamed(path: Path, former: Former | None = None) -> bool:
    """Whether it would be called invalid now."""
    end, results = judge(path, former=former)
    return end is End.DONE and any(r.outcome is Outcome.FAIL for r in results)


@pytest.mark.parametrize("keep_times", [False, True], ids=["new times", "times kept"])
@pytest.mark.parametrize("kind", ["exported", "saved", "keras2", "unzipped"])
def test_members_may_arrive_in_any_order(
    made: Path, tmp_path: Path, kind: str, keep_times: bool
) -> None:
    """No order in which a copy brings the files makes it invalid on the way; in the end it is."""
    source = made / f"{kind}-1"
    orders = list(itertools.permutations(members(source)))
    seeded().shuffle(orders)
    assert len(orders) > 1
    for number, order in enumerate(orders[:_LIMIT]):
        target = tmp_path / f"{number}" / kind
        for name in order:
            bring(source, target, name, keep_times=keep_times)
            assert not is_blamed(target), (name, order)
        end, results = judge(target, overdue=True)
        assert end is End.DONE
        assert {r.outcome for r in results} <= {Outcome.PASS, Outcome.SKIP}, order
        shutil.rmtree(tmp_path / f"{number}")


def first_save(made: Path, tmp_path: Path, kind: str) -> Path:
    """The first save of a kind, copied with its times."""
    target = tmp_path / kind
    for name in members(made / f"{kind}-1"):
        bring(made / f"{kind}-1", target, name, keep_times=True)
    return target


@pytest.mark.parametrize("kind", ["exported", "saved", "keras2", "unzipped"])
def test_a_save_over_an_older_one_is_not_torn_while_it_goes_on(
    made: Path, tmp_path: Path, kind: str
) -> None:
    """Half of it is new and half old, for as long as the writer likes; then it is whole again."""
    target = first_save(made, tmp_path, kind)
    former = former_of(target)
    for name in members(made / f"{kind}-2"):
        bring(made / f"{kind}-2", target, name, keep_times=False)
        assert not is_blamed(target), name
        assert not is_blamed(target, former), name
    end, results = judge(target)
    assert end is End.DONE
    assert {r.outcome for r in results} <= {Outcome.PASS, Outcome.SKIP}


@pytest.mark.parametrize("kind", ["exported", "saved", "keras2"])
def test_a_copy_that_stops_within_a_file_is_not_damage(
    made: Path, tmp_path: Path, kind: str
) -> None:
    """In place, with the old bytes behind the new ones (`rsync --inplace`) or cut off (`cp`)."""
    target = first_save(made, tmp_path, kind)
    former = former_of(target)
    random = seeded()
    *before_the_last, last = members(made / f"{kind}-2")
    for name in before_the_last:
        new = Path(f"{made / kind}-2{name}").read_bytes()
        old = Path(f"{target}{name}").read_bytes()
        for cut in [0, len(new) - 1, *(random.randrange(len(new) // 9, len(new)) for _ in "12345")]:
            for rest in (b"", old[cut:]):
                Path(f"{target}{name}").write_bytes(new[:cut] + rest)
                assert not is_blamed(target, former), (name, cut, len(rest))
        Path(f"{target}{name}").write_bytes(new)
    bring(made / f"{kind}-2", target, last, keep_times=False)
    end, results = judge(target, former=former)
    assert end is End.DONE
    assert {r.outcome for r in results} <= {Outcome.PASS, Outcome.SKIP}


@pytest.mark.parametrize("kind", ["exported", "saved", "keras2"])
def test_a_save_that_never_completes_is_judged_when_it_is_overdue(
    made: Path, tmp_path: Path, kind: str
) -> None:
    """A writer that was killed in the middle of a save over an older one: invalid in the end."""
    target = first_save(made, tmp_path, kind)
    bring(made / f"{kind}-2", target, members(made / f"{kind}-2")[0], keep_times=False)
    assert not is_blamed(target)
    end, results = judge(target, overdue=True)
    assert end is End.DONE
    assert any(r.outcome is Outcome.FAIL for r in results)


def test_files_beside_the_members_are_no_new_generation(made: Path, tmp_path: Path) -> None:
    """A log that grows in its directory, and another model there, are seen for themselves."""
    for kind in ("exported", "unzipped"):
        target = tmp_path / kind / "model"
        shutil.copytree(made / f"{kind}-1", target)
        with watching(tmp_path / kind, settle=0.2) as (watcher, recorder):
            recorder.until_seen(target)
            ready(recorder)
            (target / "train.log").write_text("epoch 1")
            write_keras(target / "best.keras")
            recorder.until_seen(target / "best.keras")
            watcher.wake()
            recorder.until(lambda _, r=recorder: len(r.of(Reconciled)) > 1)
        assert recorder.states(target).count("settled") == 1


def end_of(sighting: GenerationUpdate) -> End:
    """Return how a verification of what was reported ends."""
    request = Request(
        sighting.checkpoint, sighting.generation, VerifySettings(), overdue=sighting.overdue
    )
    return scan(request, lambda _: None)[0]


def test_a_writer_that_pauses_for_longer_than_the_settle_delay_is_waited_for(
    made: Path, tmp_path: Path
) -> None:
    """Complete in itself and still for longer than `settle`: only a child sees what it lacks."""
    target = tmp_path / "exported"
    shutil.copytree(made / "exported-1", target)
    with watching(tmp_path, settle=0.2, torn_after=60.0) as (watcher, recorder):
        recorder.until_seen(target)
        ready(recorder)
        written = 1
        for name in members(made / "exported-2"):
            bring(made / "exported-2", target, name, keep_times=False)
            time.sleep(0.5)
            settled = [e for e in recorder.events if getattr(e, "state", "") == "settled"]
            for sighting in settled[written:]:
                end = end_of(sighting)
                assert end in (End.INCOMPLETE, End.DONE, End.SUPERSEDED)
                if end is End.INCOMPLETE:
                    watcher.mark_incomplete(str(target), sighting.generation.key)
            written = len(settled)
        recorder.until(lambda _: end_of(recorder.until_seen(target)) is End.DONE)
    assert "torn" not in recorder.states(target)


def test_a_verification_after_torn_after_may_not_ask_for_more_time(
    made: Path, tmp_path: Path
) -> None:
    """A generation marked incomplete is reported again when it is overdue, and then judged."""
    target = tmp_path / "exported"
    shutil.copytree(made / "exported-1", target)
    with watching(tmp_path, settle=0.1, torn_after=1.0) as (watcher, recorder):
        recorder.until_seen(target)
        ready(recorder)
        bring(made / "exported-2", target, "/variables/variables.index", keep_times=False)
        bring(
            made / "exported-2",
            target,
            "/variables/variables.data-00000-of-00001",
            keep_times=False,
        )
        sighting = recorder.until_seen(target, times=2)
        assert end_of(sighting) is End.INCOMPLETE
        watcher.mark_incomplete(str(target), sighting.generation.key)
        last = recorder.until_seen(target, times=3)
        assert last.overdue
        assert end_of(last) is End.DONE


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_a_file_whose_writer_pauses_is_neither_settled_nor_torn(tmp_path: Path, name: str) -> None:
    """A file that ends early waits for its rest, however long the writer takes between two."""
    from tests.helpers.watch import write_hdf5, write_keras

    whole = tmp_path / f"elsewhere-{name}"
    (write_hdf5 if name.endswith("h5") else write_keras)(whole)
    data = whole.read_bytes()
    root = tmp_path / "root"
    root.mkdir()
    with watching(root, settle=0.1, torn_after=30.0) as (_, recorder):
        ready(recorder)
        with (root / name).open("wb") as file:
            for at in range(0, len(data), len(data) // 4 + 1):
                file.write(data[at : at + len(data) // 4 + 1])
                file.flush()
                recorder.until_seen(root / name, "writing")
                time.sleep(0.4)
                if at + len(data) // 4 + 1 < len(data):
                    assert recorder.states(root / name) == ["writing"]
        recorder.until_seen(root / name)
    assert recorder.states(root / name) == ["writing", "settled"]
