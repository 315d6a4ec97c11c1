"""One row in the table declares a rule for the config, the plan, the CLI, metrics and manual."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from checkpointd.core.verdict import Verdict
from checkpointd.retention_rules import table
from tests.helpers.cli import World, environment

_ROWS = """
from dataclasses import dataclass
from typing import Annotated, ClassVar

from checkpointd.retention_rules import Effect, RuleSpec, Value, table


@dataclass(frozen=True)
class KeepOdd:
    name: ClassVar[str] = "keep_odd"
    most: Annotated[int, Value.CHECKPOINTS]

    def claim(self, newest_first, now):
        odd = [c for c in newest_first if c.step % 2][: self.most]
        return {c.id: f"step {c.step} is odd ({self.name})" for c in odd}


@dataclass(frozen=True)
class BrokenTtl:
    name: ClassVar[str] = "broken_ttl"
    seconds: Annotated[float, Value.DURATION]

    def claim(self, newest_first, now):
        return {c.id: f"it is broken ({self.name})" for c in newest_first}


table.RULES += (
    RuleSpec(KeepOdd, "Keep so many checkpoints whose step is odd."),
    RuleSpec(BrokenTtl, "Remove what is broken.", Effect.REMOVE_INVALID),
)
"""
_CLI = "import extra_rows; from checkpointd.__main__ import main; main()"
_METRICS = """
import extra_rows, re
from checkpointd.observe.metrics import Metrics
from prometheus_client import generate_latest
metrics = Metrics(dict)
for rule in ("unclaimed", "broken_ttl", "keep_odd", "unheard of"):
    metrics.pruned("a", rule, 1)
body = generate_latest(metrics.registry.restricted_registry(["checkpointd_pruned_total"])).decode()
print(sorted(re.findall('checkpointd_pruned_total{rule="([^"]+)"', body)))
"""
_MANUAL = """
import extra_rows
from checkpointd.cli.manual.tables import rules
print(rules())
"""
_SCHEMA = """
import extra_rows, json
from checkpointd.config.settings import Config
keys = Config.model_json_schema()["$defs"]["RetentionSettings"]["properties"]
print(json.dumps({name: keys[name]["description"] for name in ("keep_odd", "broken_ttl")}))
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Four valid checkpoints and an invalid one, under a policy of the two rules."""
    (tmp_path / "state").mkdir()
    (tmp_path / "extra_rows.py").write_text(_ROWS)
    world = World(tmp_path)
    with world.config.open("a") as config:
        config.write(
            "[watch.retention]\nkeep_odd = 1\nbroken_ttl = '36h'\n"
            "keep_min_valid = 1\nmin_age = '1ms'\n"
        )
    for step in range(1, 5):
        verdict = Verdict.INVALID if step == 2 else Verdict.VALID
        world.put(f"m_epoch_{step}.h5", verdict)
    return world


def _python(world: World, code: str, *arguments: str) -> str:
    paths = environment(world.home)["PYTHONPATH"]
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(world.home, PYTHONPATH=f"{world.home}:{paths}"),
        cwd=world.home,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_a_row_adds_a_rule_to_the_command_line_and_the_plan(world: World) -> None:
    """`config show` prints its key as it is written, `prune` gives its reasons."""
    config = str(world.config)
    text = _python(world, _CLI, "--config", config, "config", "show")
    assert "keep_odd = 1\n" in text
    assert 'broken_ttl = "1d12h"\n' in text
    printed = _python(world, _CLI, "--config", config, "prune", "--json")
    rows = {Path(row["path"]).name: row for row in map(json.loads, printed.splitlines())}
    assert {name: (row["keep"], row["rule"]) for name, row in rows.items()} == {
        "m_epoch_1.h5": (False, "unclaimed"),
        "m_epoch_2.h5": (False, "broken_ttl"),
        "m_epoch_3.h5": (True, "keep_odd"),
        "m_epoch_4.h5": (True, "newest"),
    }
    assert rows["m_epoch_3.h5"]["reasons"] == ["step 3 is odd (keep_odd)"]
    assert rows["m_epoch_1.h5"]["reasons"] == ["it is valid, and not kept by keep_odd"]
    assert "it is broken (broken_ttl)" in _python(world, _CLI, "--config", config, "prune")


def test_a_row_adds_a_rule_to_the_metrics_the_schema_and_the_manual(world: World) -> None:
    """A label for what the rule removes, a described key, and a line of the manual."""
    assert _python(world, _METRICS) == "['broken_ttl', 'other', 'unclaimed']\n"
    described = json.loads(_python(world, _SCHEMA))
    assert described == {
        "keep_odd": "Keep so many checkpoints whose step is odd.",
        "broken_ttl": "Remove what is broken.",
    }
    assert "| `broken_ttl` | Remove what is broken. |" in _python(world, _MANUAL)


def test_without_its_row_nobody_knows_the_rule(world: World) -> None:
    """Nothing else declares it."""
    assert "keep_odd: there is no such key" in world.run("config", "check", code=78)
    assert "broken_ttl" not in table.removal_labels()
