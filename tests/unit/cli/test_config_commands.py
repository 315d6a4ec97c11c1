"""`config schema` and `config example`: what an editor and a person start from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from checkpointd.cli.main import run
from checkpointd.config.schema import json_schema

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """It needs no config."""
    assert run(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


def test_a_newcomer_edits_the_example_in_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is one screen long, and what it names is what everybody has to name."""
    assert run(["config", "example"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) < 24
    path = tmp_path / "config.toml"
    path.write_text(text.replace("/data/runs/resnet", str(tmp_path)))
    assert run(["--config", str(path), "config", "check"]) == 0
    assert capsys.readouterr().out == f"{path}: OK, 1 watch\n"
    assert run(["config", "example", "--full"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 100


def test_what_a_config_names_and_is_not_there_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Roots, code, data and hooks, each with its line; modules are found as they are imported."""
    (tmp_path / "code/mine").mkdir(parents=True)
    (tmp_path / "code/mine/layers.py").touch()
    path = tmp_path / "config.toml"
    path.write_text(
        "[[watch]]\nname = 'a'\npath = 'gone'\n[watch.verify]\npython_path = ['code']\n"
        "read_paths = ['vocabulary']\n"
        "builder = 'mine.models:build'\nevaluate = { data = 'held_out.npz' }\n"
        "[watch.verify.custom_objects]\nL = 'mine.layers:L'\nJ = 'json:J'\nX = 'other:X'\n"
        "[watch.hooks]\non_verdict = ['/nowhere/notify']\n"
    )
    assert run(["--config", str(path), "config", "check", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["line"], one["key"].partition("].")[2]) for one in found] == [
        (3, "path"),
        (6, "verify.read_paths"),
        (9, "verify.custom_objects"),
        (7, "verify.builder"),
        (8, "verify.evaluate"),
        (14, "hooks.on_verdict"),
    ]
    assert all(one["severity"] == "warning" for one in found)


def test_a_config_may_name_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The comment that editors read changes nothing for us."""
    path = tmp_path / "config.toml"
    path.write_text("#:schema ./checkpointd.schema.json\n[daemon]\nstate_dir = 'state'\n")
    assert run(["--config", str(path), "config", "check"]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: OK")
