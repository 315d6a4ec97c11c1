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


def test_a_config_may_name_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The comment that editors read changes nothing for us."""
    path = tmp_path / "config.toml"
    path.write_text("#:schema ./checkpointd.schema.json\n[daemon]\nstate_dir = 'state'\n")
    assert run(["--config", str(path), "config", "check"]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: OK")
