"""The other interpreters of the tests: TensorFlow with Keras 2, Keras 3 on JAX; nothing of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERAS2 = ROOT / ".venv-keras2" / "bin" / "python"
JAX = ROOT / ".venv-jax" / "bin" / "python"


def keras2() -> Path:
    """The interpreter; it is installed the first time, which takes half a minute."""
    _make("other-runtime")
    return KERAS2


def jax() -> Path:
    """The one without TensorFlow; it is installed the first time, which takes half a minute."""
    _make("jax-runtime")
    return JAX


def _make(script: str) -> None:
    made = subprocess.run(
        ["bash", str(ROOT / ".ci" / script)], capture_output=True, text=True, check=False
    )
    if made.returncode == 2:
        pytest.skip(made.stderr.strip().splitlines()[-1])
    assert made.returncode == 0, made.stderr


def with_checkpointd(home: Path) -> Path:
    """A training job's environment: the other one's libraries, and our wheel without its needs.

    Args:
        home: the directory that it is made in.
    """
    python = home / "venv" / "bin" / "python"
    wheels = home / "wheels"
    pip = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
    base = subprocess.run(
        [str(keras2()), "-c", "import sys; print(sys._base_executable)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    for command in (
        [base, "-m", "venv", "--without-pip", str(home / "venv")],
        [sys.executable, *pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    site = next((home / "venv" / "lib").glob("python3*")) / "site-packages"
    libraries = next((KERAS2.parents[1] / "lib").glob("python3*")) / "site-packages"
    (site / "job.pth").write_text(f"{libraries}\n")
    wheel = next(wheels.glob("checkpointd-*.whl"))
    install = ["--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([str(KERAS2), *pip, *install], check=True, capture_output=True)
    return python
