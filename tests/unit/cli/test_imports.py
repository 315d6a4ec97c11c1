"""What the command line imports: quick enough for a shell script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from checkpointd.cli.arguments import MODULES, config_of, is_run, modules_for

HEAVY = ("tensorflow", "keras", "numpy", "h5py")
SLOW = (*HEAVY, "rich", "pydantic", "aiohttp", "structlog", "asyncio", "platformdirs", "jinja2")


def imported(code: str) -> set[str]:
    """The modules, and the top-level packages, in a fresh interpreter after some code."""
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    names = done.stdout.split("\n")
    return {*names, *(name.split(".")[0] for name in names)}


def test_the_command_line_brings_in_no_tensorflow() -> None:
    """Nor anything of its weight, when everything of ours is imported that it needs to start."""
    found = imported("import checkpointd.cli, checkpointd.cli.app, checkpointd.cli.main")
    assert not found & set(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_that_is_slow(arguments: list[str]) -> None:
    """Neither tables nor the config's schema nor the web."""
    found = imported(f"from checkpointd.cli.main import run\nassert run({arguments}) == 0")
    assert not found & set(SLOW)


def test_latest_needs_no_schema(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A good config is read for its places alone, and the ledger without the daemon.

    Some versions of typer take pydantic for every argument; what is slow is our schema.
    """
    home = tmp_path_factory.mktemp("home")
    config = home / "config.toml"
    config.write_text(f"[daemon]\nstate_dir = '{home}/state'\n[[watch]]\nname='a'\npath='runs'\n")
    arguments = ["--config", str(config), "latest", "a"]
    found = imported(f"from checkpointd.cli.main import run\nassert run({arguments}) == 69")
    schema = {"checkpointd.config.settings", "checkpointd.config.validate"}
    assert not found & ((set(SLOW) | schema) - {"platformdirs", "pydantic"})


def test_latest_needs_neither_the_pruner_nor_the_other_commands() -> None:
    """Only what orders a series and compares it with the disk."""
    found = imported("from checkpointd.cli.main import run\nassert run(['latest', '/']) in (4, 69)")
    of_others = {"pruner", "planning", "trash", "series_planner"}
    assert not found & {f"checkpointd.retention.{name}" for name in of_others}
    assert [name for name in found if name.endswith("_commands")] == [
        "checkpointd.cli.latest_commands"
    ]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["latest", "w"], ("latest_commands",)),
        (["--config", "c.toml", "run"], ("daemon_commands",)),
        (["--config=c.toml", "wait", "w"], ("wait_commands",)),
        (["--config", "latest"], MODULES),
        (["--version", "latest"], MODULES),
        (["prune"], MODULES),
        (["lates"], MODULES),
        ([], MODULES),
    ],
)
def test_only_a_command_that_is_clear_is_imported_alone(
    arguments: list[str], found: tuple[str, ...]
) -> None:
    """What else there is must be known to answer anything else."""
    assert modules_for(arguments) == found


def test_the_daemon_imports_neither_rich_nor_what_few_need() -> None:
    """They would take memory beside every training job."""
    found = imported("import checkpointd.daemon")
    assert not found & {"rich", "pygments", "jinja2", "checkpointd.dispatch.fleet.dispatcher"}
    code = "import checkpointd.daemon\nimport rich.console\nimport structlog.dev"
    assert "rich.console" in imported(code)


@pytest.mark.parametrize(
    "before", [[], ["--config", "c.toml"], ["-c", "c.toml"], ["--config=c.toml"]]
)
def test_the_daemon_is_started_without_the_parser(before: list[str]) -> None:
    """It would stay in memory for as long as the daemon runs."""
    assert is_run([*before, "run"])
    assert config_of([*before, "run"]) == (Path("c.toml") if before else None)
    assert not is_run([*before, "run", "--help"])
    assert not is_run([*before, "status"])
    found = imported(
        f"from checkpointd.cli.main import run\nassert run({[*before, 'run']}) in (69, 78)"
    )
    assert not found & {"typer", "click", "rich"}
