"""What is installed for an interpreter is read from the disk, and nothing is run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.dispatch.python_installation import (
    describe_runtime,
    installed_distributions,
    python_version,
    why_unusable,
)

if TYPE_CHECKING:
    from pathlib import Path


def environment(directory: Path, *installed: str, config: str = "version = 3.9.18\n") -> str:
    """Make a virtual environment; return its interpreter."""
    site = directory / "lib" / "python3.9" / "site-packages"
    site.mkdir(parents=True)
    (directory / "bin").mkdir()
    (directory / "bin" / "python").write_bytes(b"\x7fELF")
    if config:
        (directory / "pyvenv.cfg").write_text(config)
    for name in installed:
        (site / name).mkdir()
    return str(directory / "bin" / "python")


def test_python_and_the_backends_are_named(tmp_path: Path) -> None:
    """A reader sees what will load; the rest is counted."""
    python = environment(
        tmp_path, "tensorflow_cpu-2.15.1.dist-info", "keras-2.15.0.dist-info", "six-1.dist-info"
    )
    expected = f"{python}: python 3.9.18, keras 2.15.0, tensorflow-cpu 2.15.1, 3 distributions "
    assert describe_runtime(python).startswith(expected)
    assert python_version(python) == "3.9.18"


def test_any_installation_removal_or_upgrade_changes_the_description(tmp_path: Path) -> None:
    """A user's own package may be the cure as well as TensorFlow."""
    python = environment(tmp_path, "tensorflow-2.15.1.dist-info")
    site = tmp_path / "lib" / "python3.9" / "site-packages"
    seen = [describe_runtime(python)]
    (site / "mylib-1.0.dist-info").mkdir()
    seen.append(describe_runtime(python))
    (site / "mylib-1.0.dist-info").rename(site / "mylib-1.1.dist-info")
    seen.append(describe_runtime(python))
    (site / "mylib").mkdir()
    assert describe_runtime(python) == seen[-1]
    os.utime(python, ns=(1, 1))
    seen.append(describe_runtime(python))
    assert len(set(seen)) == 4


def test_a_missing_interpreter_has_a_description_that_changes_when_it_appears(
    tmp_path: Path,
) -> None:
    """An interpreter that appears is a change."""
    python = str(tmp_path / "bin" / "python")
    before = describe_runtime(python)
    assert before.startswith(f"{python}: python, 0 distributions")
    environment(tmp_path, config="")
    assert describe_runtime(python) != before


def test_system_packages_count_if_the_environment_uses_them(tmp_path: Path) -> None:
    """`include-system-site-packages` makes an installation outside decide."""
    system = tmp_path / "usr"
    environment(system, "tensorflow-2.8.0.dist-info", config="")
    for flag, found in (("true", True), ("false", False)):
        config = f"home = {system / 'bin'}\ninclude-system-site-packages = {flag}\n"
        python = environment(tmp_path / flag, config=config)
        assert ("tensorflow 2.8.0" in describe_runtime(python)) is found


def test_the_daemons_own_interpreter_is_described_from_its_path() -> None:
    """No interpreter in the settings is this one, with what it can import."""
    assert "tensorflow " in describe_runtime("")
    assert describe_runtime("").startswith("python 3.")


def test_the_first_directory_on_the_path_counts(tmp_path: Path) -> None:
    """As for Python itself; names are compared as installers do."""
    for number, name in enumerate(("My.Lib-2.0.dist-info", "my_lib-1.0-py3.9.egg-info")):
        (tmp_path / str(number) / name).mkdir(parents=True)
    directories = [str(tmp_path / name) for name in "012"]
    found = installed_distributions(directories)
    assert found == {"my-lib": "2.0"}


@pytest.mark.parametrize(
    ("installed", "config", "why"),
    [
        ((), "version = 3.8.18\n", "is Python 3.8.18, and 3.9 or newer is needed"),
        (("numpy",), "version = 3.9.18\n", "has no TensorFlow, JAX or torch"),
        (("numpy", "tensorflow"), "version = 3.9.18\n", ""),
        (("numpy", "keras", "jax"), "version = 3.12.1\n", ""),
        (("numpy", "keras", "torch"), "version = 3.12.1\n", ""),
        (("numpy", "tensorflow"), "version_info = 3.12.1.final.0\n", ""),
        (("pip", "else.pth"), "version = 3.9.18\n", ""),
        (("pip",), "include-system-site-packages = true\n", ""),
        (("pip",), "", ""),
    ],
)
def test_why_an_interpreter_is_unusable_is_seen_without_running_it(
    tmp_path: Path, installed: tuple[str, ...], config: str, why: str
) -> None:
    """Only what is certain: libraries may come from elsewhere."""
    python = environment(tmp_path, *installed, config=config)
    assert why_unusable(python) == "is not an executable file"
    os.chmod(python, 0o700)
    assert why_unusable(python) == why
    assert why_unusable(python + "3") == "does not exist"
