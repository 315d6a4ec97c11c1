"""The sandbox and the daemon under the constraints of the shipped Pods, in a real container."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.kubernetes.bases import bases
from tests.helpers import models
from tests.helpers.container import IS_USABLE, Container

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not IS_USABLE, reason="no runc, no seccomp profile, or not root")
LANDLOCK = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Directories for the volumes, which another user can reach."""
    for name in ("config", "state", "tmp", "runs", "bundle"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "config" / "config.toml").write_text(bases()["shared/config.toml"])
    return tmp_path


def container(home: Path, name: str, forbidden: tuple[str, ...] = ()) -> Container:
    """A container with the volumes of the shipped Pods."""
    volumes = {
        "/etc/checkpointd": (home / "config", False),
        "/var/lib/checkpointd": (home / "state", True),
        "/tmp": (home / "tmp", True),  # noqa: S108 - a mount point
        "/runs": (home / "runs", False),
    }
    return Container(f"{name}-{home.name}", home / "bundle", volumes, forbidden)


@pytest.mark.parametrize(
    ("forbidden", "expected"),
    [
        ((), "Landlock version"),
        (LANDLOCK, "Without Landlock nothing is loaded"),
        (("seccomp",), "seccomp is blocked by another filter"),
    ],
    ids=["default", "without Landlock", "without seccomp"],
)
def test_the_self_test_names_the_layer_that_a_profile_takes(
    home: Path, forbidden: tuple[str, ...], expected: str
) -> None:
    """The default profile has all that is needed; the init container fails under a narrower one."""
    done = container(home, "sandbox", forbidden).run("doctor", "sandbox")
    assert expected in done.stdout, done.stdout + done.stderr
    assert done.returncode == (1 if forbidden else 0)
    assert ("self-test passed" in done.stdout) is not bool(forbidden)


def test_the_daemon_verifies_and_a_stop_waits_for_the_last_verdict(home: Path) -> None:
    """With every check, as another user, writing its volumes alone."""
    import keras

    models.sequential(keras, trained=True).save(home / "runs" / "model.keras")
    (home / "runs" / "model.keras").chmod(0o644)
    pod = container(home, "daemon")
    process = pod.start("run")
    try:
        until = time.monotonic() + 60
        while "started" not in (home / "bundle" / "log").read_text():
            assert process.poll() is None, (home / "bundle" / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.1)
        waited = pod.execute("wait", "--all", "--timeout", "100s")
        assert waited.returncode == 0, waited.stderr + (home / "bundle" / "log").read_text()
        listed = pod.execute("list").stdout
        assert "intact, loads, runs, resumes" in listed
        assert "self-test passed" in pod.execute("status").stdout
    finally:
        pod.kill("TERM")
        assert process.wait(timeout=30) == 0
