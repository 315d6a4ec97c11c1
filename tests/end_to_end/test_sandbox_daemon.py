"""A daemon on a kernel with Landlock switched off: what it says, and what best-effort changes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.helpers.daemon import Daemon, eventually
from tests.helpers.kernels import without

if TYPE_CHECKING:
    from pathlib import Path


def test_without_landlock_nothing_is_loaded_until_the_config_lets_it(
    daemon: Daemon, made: Path
) -> None:
    """The reason and the status name what is missing; a reload has it verified again."""
    daemon.before = without("landlock_create_ruleset", "EOPNOTSUPP")
    path = daemon.runs / "plain.keras"
    shutil.copy(made / "plain.keras", path)
    daemon.start()
    entry = daemon.verdict(path)
    assert (entry["verdict"], entry["reason"]) == ("inconclusive", "load.sandbox_unavailable")
    assert "add landlock to lsm= on the kernel's command line" in entry["message"]
    assert entry["shown"] == ["intact"]
    status = daemon.status()
    assert status["sandbox"]["mode"] == "enforce"
    assert (status["sandbox"]["landlock"], status["sandbox"]["seccomp"]) == (0, True)
    assert status["sandbox"]["self_test"] == "not run"
    assert any(p.startswith("Nothing is loaded, because") for p in status["problems"])
    assert "enforce: no Landlock, seccomp, self-test not run: Landlock is switched off" in (
        " ".join(daemon.cli("status").stdout.split())
    )
    assert 'checkpointd_sandbox_in_force{layer="landlock"} 0.0' in daemon.text("/metrics")
    assert 'checkpointd_sandbox_in_force{layer="seccomp"} 1.0' in daemon.text("/metrics")
    assert "sandbox enforce: no Landlock" in daemon.text("/")

    daemon.config.write_text(
        daemon.config.read_text().replace("spares = 0", 'spares = 0\nsandbox = "best-effort"')
    )
    done = daemon.cli("reload")
    assert done.returncode == 0, done.stderr
    assert "needs a restart" not in done.stdout
    eventually("it to be valid", lambda: daemon.entry(path)["verdict"] == "valid")
    environment = daemon.get(f"/api/v1/checkpoints/{daemon.entry(path)['id']}")["environment"]
    assert environment["sandbox"].startswith("seccomp, but Landlock is switched off")
    assert daemon.status()["sandbox"]["mode"] == "best-effort"
    assert "Models are loaded without the whole sandbox" in daemon.cli("status").stdout
