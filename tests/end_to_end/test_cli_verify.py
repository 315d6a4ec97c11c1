"""`verify` and `inspect` on real checkpoints, without a daemon and without a config."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import checkpointd, environment, train

_TRAIN = """
import sys, numpy as np, keras
directory = sys.argv[1]
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, name="hidden")])
model.compile("adam", "mse")
model.fit(np.zeros((8, 4)), np.zeros((8, 8)), verbose=0)
model.save(f"{directory}/good.keras")
model.export(f"{directory}/export")
weights = model.get_weights()
weights[0][0, :3] = np.nan
model.set_weights(weights)
model.save(f"{directory}/nan_epoch_07.keras")
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of real checkpoints, good and spoiled."""
    directory = tmp_path_factory.mktemp("runs")
    train(_TRAIN, directory)
    good = (directory / "good.keras").read_bytes()
    (directory / "torn.keras").write_bytes(good[: len(good) // 2])
    (directory / "notes.txt").write_text("no checkpoint")
    (directory / "empty").mkdir()
    return directory


def objects(output: str) -> dict[str, dict[str, Any]]:
    """What --json printed, by the name of the checkpoint."""
    lines = [json.loads(line) for line in output.splitlines()]
    return {os.path.basename(line["path"]): line for line in lines}


def test_a_directory_is_verified_one_verdict_a_line(runs: Path) -> None:
    """A person reads what is wrong and what to do; the exit code is the worst verdict's."""
    done = checkpointd("verify", ".", home=runs)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert any(
        line.startswith(f"VALID         {runs}/good.keras  intact, loads, runs") for line in lines
    )
    assert any(f"{runs}/nan_epoch_07.keras  finite.nan" in line for line in lines)
    assert any(f"{runs}/torn.keras  structure.truncated" in line for line in lines)
    assert sum("What to do: " in line for line in lines) == 2
    assert "\x1b" not in done.stdout


def test_the_objects_are_those_of_the_interface(runs: Path) -> None:
    """One a line, with the keys that are promised."""
    done = checkpointd("verify", "--json", ".", home=runs)
    found = objects(done.stdout)
    assert set(found) == {"good.keras", "export", "nan_epoch_07.keras", "torn.keras"}
    bad = found["nan_epoch_07.keras"]
    assert (bad["verdict"], bad["reason"], bad["step"]) == ("invalid", "finite.nan", 7)
    assert bad["series"] == "nan_epoch_{}.keras"
    assert {check["name"]: check["outcome"] for check in bad["checks"]}["finite"] == "fail"
    good = found["good.keras"]
    assert good["shown"][:3] == ["intact", "loads", "runs"]
    assert {"tensorflow", "keras", "python", "device"} <= set(good["environment"])
    assert good["size_bytes"] == (runs / "good.keras").stat().st_size


def test_all_valid_is_zero(runs: Path) -> None:
    """For one that is named, whatever is beside it."""
    assert checkpointd("verify", "good.keras", home=runs).returncode == 0


def test_what_is_no_checkpoint_gets_one_sentence(runs: Path) -> None:
    """Exit code 2; a directory without any is 4."""
    for command in ("verify", "inspect"):
        done = checkpointd(command, "notes.txt", home=runs)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"{runs}/notes.txt is no checkpoint")
        assert len(done.stderr.splitlines()) == 1
    assert checkpointd("verify", "empty", home=runs).returncode == 4


def test_an_empty_and_an_oddly_named_file_get_an_answer(runs: Path, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in a name are shown as escapes."""
    odd = os.fsencode(tmp_path) + b"/m\xff\n.keras"
    Path(os.fsdecode(odd)).write_bytes((runs / "good.keras").read_bytes())
    (tmp_path / "empty.keras").touch()
    done = checkpointd("verify", odd, home=tmp_path)
    assert done.returncode == 0
    assert f"{tmp_path}/m\\xff\\n.keras  intact" in done.stdout
    empty = checkpointd("verify", "empty.keras", home=tmp_path)
    assert empty.returncode == 1
    assert "Traceback" not in empty.stderr


def test_the_settings_of_the_watch_hold(runs: Path, tmp_path: Path) -> None:
    """A config decides how strictly, wherever the command is called."""
    path = tmp_path / "config.toml"
    path.write_text(
        f'[[watch]]\nname = "a"\npath = "{runs}"\nversion = "{{epoch}}_x"\n'
        '[watch.verify]\nskip = ["finite", "load", "inference"]\n'
    )
    done = checkpointd(
        "-c", str(path), "verify", "--json", str(runs / "nan_epoch_07.keras"), home=tmp_path
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["shown"] == ["intact"]


def test_the_settings_of_the_watch_hold_through_a_symlink_too(runs: Path, tmp_path: Path) -> None:
    """Whichever of the two the config or the command line goes through."""
    link = tmp_path / "link"
    link.symlink_to(runs)
    for root, typed in ((runs, link), (link, runs)):
        path = tmp_path / "config.toml"
        path.write_text(
            f'[[watch]]\nname = "a"\npath = "{root}"\n'
            '[watch.verify]\nskip = ["finite", "load", "inference"]\n'
        )
        done = checkpointd(
            "-c", str(path), "verify", "--json", str(typed / "nan_epoch_07.keras"), home=tmp_path
        )
        assert done.returncode == 0
        found = json.loads(done.stdout)
        assert (found["path"], found["shown"]) == (f"{root}/nan_epoch_07.keras", ["intact"])


def test_a_directory_above_watches_has_the_settings_of_each(runs: Path, tmp_path: Path) -> None:
    """Settings, series and steps are those of the watch that contains it, also by a symlink."""
    files = ("lax/deep/nan_epoch_07.keras", "far/nan_epoch_07.keras", "none/nan_epoch_07.keras")
    for name in files:
        place = tmp_path / "all" / name
        place.parent.mkdir(parents=True)
        place.write_bytes((runs / "nan_epoch_07.keras").read_bytes())
    (tmp_path / "link").symlink_to(tmp_path / "all" / "far")
    path = tmp_path / "config.toml"
    verify = '[watch.verify]\nskip = ["finite", "load", "inference"]\n'
    path.write_text(
        f'[[watch]]\nname = "lax"\npath = "all/lax"\n'
        f'version = "nan_{{kind}}_0{{step}}.keras"\n{verify}'
        f'[[watch]]\nname = "far"\npath = "link"\n{verify}'
    )

    def found(where: str) -> dict[str, tuple[Any, ...]]:
        done = checkpointd("-c", str(path), "verify", "--json", where, home=tmp_path)
        objects = [json.loads(line) for line in done.stdout.splitlines()]
        keys = ("verdict", "reason", "shown", "series", "step")
        return {o["path"]: tuple(o[key] for key in keys) for o in objects}

    above = found("all")
    lax, none = (f"{tmp_path}/all/{name}" for name in (files[0], files[2]))
    far = f"{tmp_path}/link/nan_epoch_07.keras"
    assert above[none][:2] == ("invalid", "finite.nan")
    assert above[lax][:3] == above[far][:3] == ("valid", "", ["intact"])
    assert (above[lax][3], above[far][3]) == ("deep/nan_epoch_0{}.keras", "nan_epoch_{}.keras")
    assert above == {**found("all/lax"), **found("link"), none: above[none]}


def test_inspect_lists_the_content(runs: Path) -> None:
    """For people and for programs; what is not whole is reported, and the exit code is 1."""
    done = checkpointd("inspect", "good.keras", home=runs)
    assert done.returncode == 0
    assert "hidden" in done.stdout
    assert "4 x 8" in done.stdout
    raw = json.loads(checkpointd("inspect", "--json", "export", home=runs).stdout)
    assert raw["format"] == "savedmodel"
    assert "serving_default" in raw["signatures"]
    torn = checkpointd("inspect", "torn.keras", home=runs)
    assert torn.returncode == 1
    assert "problem" in torn.stdout


def test_record_needs_a_daemon(runs: Path) -> None:
    """Nothing is verified for nothing."""
    done = checkpointd("verify", "--record", "good.keras", home=runs)
    assert (done.returncode, done.stdout) == (69, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_stopped_and_leaves_nothing_behind(
    runs: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """No scratch directory, no process, no traceback."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "checkpointd", "verify", str(runs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path, TMPDIR=str(scratch)),
    )
    deadline = time.monotonic() + 60
    while not any(scratch.glob("*/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == b""
    assert list(scratch.iterdir()) == []
