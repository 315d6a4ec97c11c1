"""What the command line imports: quick enough for a shell script."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
