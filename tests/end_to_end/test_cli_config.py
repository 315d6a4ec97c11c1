"""The commands that need neither a daemon nor a checkpoint, as a shell script sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers.cli import ROOT, checkpointd, environment


def test_help_and_version_are_there(tmp_path: Path) -> None:
    """Every command of the interface is listed."""
    shown = checkpointd("--help", home=tmp_path)
    assert shown.returncode == 0
    for command in ("run", "verify", "inspect", "list", "show", "latest", "wait", "prune"):
        assert f"\n  {command} " in shown.stdout
    for command in (
        "pin",
        "unpin",
        "tag",
        "untag",
        "trash",
        "restore",
        "status",
        "reload",
        "config",
        "demo",
    ):
        assert f"\n  {command} " in shown.stdout
    for command in ("docs", "explain"):
        assert f"\n  {command} " in shown.stdout
    assert checkpointd("--version", home=tmp_path).stdout.startswith("checkpointd ")


def test_the_example_can_be_used_as_it_is(tmp_path: Path) -> None:
    """What `config example` prints passes `config check`, which only misses what it names."""
    path = tmp_path / "config.toml"
    for full, missing in (((), 1), (("--full",), 4)):
        path.write_text(checkpointd("config", "example", *full, home=tmp_path).stdout)
        done = checkpointd("--config", str(path), "config", "check", home=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        first, *warnings = done.stdout.splitlines()
        assert first == f"{path}: OK, 1 watch"
        assert len(warnings) == missing
        assert all("exist" in line or "is not a file" in line for line in warnings), warnings


def test_the_config_at_top_level_is_good(tmp_path: Path) -> None:
    """A relative path is accepted, and what is shown is absolute."""
    done = checkpointd("-c", "config.toml", "config", "check", home=tmp_path, cwd=ROOT)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{ROOT}/config.toml: OK")


def test_every_error_of_a_config_is_reported_with_its_line(tmp_path: Path) -> None:
    """On standard error, one a line, and the exit code is 78; with --json one object a line."""
    path = tmp_path / "config.toml"
    path.write_text('[worker]\nconcurrency = 0\n[web]\nlistn = "x"\n')
    done = checkpointd("config", "check", home=tmp_path, CHECKPOINTD_CONFIG=str(path))
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"{path}: line 2: worker.concurrency: must be at least 1, got 0",
        f"{path}: line 4: web.listn: there is no such key; did you mean 'listen'?",
    ]
    objects = checkpointd("-c", str(path), "config", "check", "--json", home=tmp_path)
    assert objects.returncode == 78
    first = json.loads(objects.stdout.splitlines()[0])
    assert (first["line"], first["key"]) == (2, "worker.concurrency")


def test_an_interpreter_that_can_load_nothing_is_reported_with_its_line(tmp_path: Path) -> None:
    """The daemon would start, because the others can be verified; who checks wants to know."""
    path = tmp_path / "config.toml"
    watches = [
        f'[[watch]]\nname = "{name}"\npath = "{name}"\n[watch.verify]\npython = "{python}"\n'
        for name, python in (("a", sys.executable), ("b", "no/bin/python"), ("c", "/usr"))
    ]
    path.write_text("".join(watches))
    done = checkpointd("-c", str(path), "config", "check", home=tmp_path)
    assert done.returncode == 78
    assert done.stderr.splitlines() == [
        f"{path}: line 10: watch[1].verify.python: {tmp_path}/no/bin/python does not exist",
        f"{path}: line 15: watch[2].verify.python: /usr is not an executable file",
    ]
    assert checkpointd("-c", str(path), "config", "show", home=tmp_path).returncode == 0


@pytest.mark.parametrize("command", [["run"], ["latest", "a"], ["config", "show"], ["verify", "/"]])
def test_a_config_that_is_named_must_be_there(tmp_path: Path, command: list[str]) -> None:
    """Whatever the command: no default is put in the place of what was asked for."""
    done = checkpointd("--config", "none.toml", *command, home=tmp_path)
    assert done.returncode == 78
    assert "none.toml: there is no such file" in done.stderr


def test_the_config_that_holds_is_shown_as_toml_and_as_json(tmp_path: Path) -> None:
    """Defaults included, paths absolute."""
    path = tmp_path / "config.toml"
    path.write_text('[[watch]]\nname = "a"\npath = "runs"\n')
    toml = tomllib.loads(checkpointd("-c", str(path), "config", "show", home=tmp_path).stdout)
    assert toml["watch"][0]["path"] == f"{tmp_path}/runs"
    assert toml["worker"]["timeout"] == "30m"
    shown = checkpointd("-c", str(path), "config", "show", "--json", home=tmp_path).stdout
    assert json.loads(shown)["worker"]["timeout"] == 1800


@pytest.mark.parametrize("command", [["status"], ["reload"], ["status", "--json"]])
def test_without_a_daemon_status_and_reload_say_so(tmp_path: Path, command: list[str]) -> None:
    """One sentence, exit code 69."""
    done = checkpointd(*command, home=tmp_path)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.startswith("No daemon listens on ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [["list"], ["show", "."], ["latest", "."], ["latest", "a"]])
def test_where_no_daemon_ever_ran_nothing_is_known(tmp_path: Path, command: list[str]) -> None:
    """One sentence, and not exit code 4: nobody has looked for checkpoints."""
    done = checkpointd(*command, home=tmp_path)
    assert (done.returncode, done.stdout) == (69, "")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        ["nonsense"],
        ["verify"],
        ["latest"],
        ["latest", ".", "--requires", "beauty"],
        ["wait", "nowhere"],
        ["wait", ".", "--timeout", "soon"],
        ["inspect", "nowhere"],
        ["verify", "nowhere"],
        ["list", "--nonsense"],
    ],
)
def test_wrong_usage_is_two(tmp_path: Path, command: list[str]) -> None:
    """So is a path that is not there; never with a traceback."""
    done = checkpointd(*command, home=tmp_path)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_of_the_output_may_stop_reading(tmp_path: Path) -> None:
    """A closed pipe ends the command without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "checkpointd", "config", "example"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    """Output that cannot be written is not silently lost."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "checkpointd", "config", "example"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(tmp_path),
            timeout=60,
            check=False,
        )
    assert done.returncode == 70
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr
