"""What `checkpointd monitoring` prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from checkpointd.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CONFIG = """
[web]
listen = "127.0.0.1:9999"
basic_auth = { username = "prometheus", password_file = "secret" }

[[watch]]
name = "runs"
path = "runs"
"""


def test_rules_and_dashboard_need_no_config(capsys: pytest.CaptureFixture[str]) -> None:
    """They are printed on a machine that has no daemon."""
    assert run(["monitoring", "rules", "--watch", "runs=6h"]) == 0
    assert "> 21600" in capsys.readouterr().out
    assert run(["monitoring", "dashboard"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "checkpointd"


def test_a_wrong_interval_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """With what is expected instead."""
    for given in ("runs", "runs=soon", "=6h"):
        assert run(["monitoring", "rules", "--watch", given]) == 2
        assert "--watch" in capsys.readouterr().err


def test_a_watch_that_the_config_has_not_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo there would be a rule about nothing."""
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    chosen = ["--config", str(tmp_path / "config.toml"), "monitoring"]
    assert run([*chosen, "rules", "--watch", "run=6h"]) == 0
    assert "no watch 'run'" in capsys.readouterr().err
    assert run([*chosen, "scrape-config"]) == 0
    printed = capsys.readouterr().out
    assert '"127.0.0.1:9999"' in printed
    assert "password_file" in printed
