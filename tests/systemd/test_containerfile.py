"""The recipe of the container image: what can be tried without an image registry."""

from __future__ import annotations

import json
import re
from pathlib import Path

from checkpointd.config import parse
from checkpointd.systemd.shipped import LISTEN, STATE_DIR
from tests.helpers.cli import ROOT

FILE = Path(__file__).parents[2] / "systemd" / "Containerfile"
CONFIG = "/etc/checkpointd/config.toml"


def steps() -> list[tuple[str, str]]:
    """Every instruction and its argument, in order."""
    text = re.sub(r"\\\n", "", FILE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


def last(instruction: str) -> str:
    """The argument that holds in the image."""
    return [argument for name, argument in steps() if name == instruction][-1]


def test_every_instruction_is_known() -> None:
    """A misspelt one fails only where an image is built."""
    known = {"ARG", "FROM", "COPY", "RUN", "ENV", "VOLUME", "USER", "EXPOSE", "STOPSIGNAL"}
    assert {name for name, _ in steps()} <= known | {"HEALTHCHECK", "ENTRYPOINT", "CMD"}


def test_only_the_wheel_is_copied_from_the_context() -> None:
    """The directory that `make wheel` fills is all that a build needs."""
    copied = [argument.split()[0] for name, argument in steps() if name == "COPY"]
    assert copied == ["checkpointd-*.whl", "--from=build"]
    assert "hatchling build -t wheel -d dist" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_it_runs_as_nobody_else_and_keeps_its_state_in_a_volume() -> None:
    """Not as root, by number, so that Kubernetes can see it."""
    user, _, group = last("USER").partition(":")
    made = next(argument for name, argument in steps() if name == "RUN" and "useradd" in argument)
    assert f"groupadd --gid {group} " in made
    assert f"useradd --uid {user} --gid {group} " in made
    assert int(user) > 0
    assert last("VOLUME") == STATE_DIR
    assert f"STATE_DIRECTORY={STATE_DIR}" in last("ENV")
    assert made.endswith(f"-m 0750 /etc/checkpointd {STATE_DIR}")
    assert last("EXPOSE") == LISTEN.rpartition(":")[2]


def test_it_is_asked_for_its_health_by_its_own_command() -> None:
    """As the image runs it: the program and the config are the same."""
    entry = json.loads(last("ENTRYPOINT"))
    assert entry == ["checkpointd", "--config", CONFIG]
    assert json.loads(last("CMD")) == ["run"]
    _, _, check = last("HEALTHCHECK").partition("CMD ")
    assert json.loads(check) == [*entry, "status"]
    assert "/opt/checkpointd/bin" in last("ENV")


def test_the_address_that_it_asks_for_is_one_of_the_config() -> None:
    """What the recipe says of [web] listen is valid."""
    comment = FILE.read_text(encoding="utf-8")
    found = re.search(r'\[web\] listen = "([^"]+)"', comment)
    assert found
    assert parse({"web": {"listen": found[1]}}, Path(CONFIG)).web.listen == found[1]
