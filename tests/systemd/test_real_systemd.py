"""The shipped unit and the real daemon under a real systemd, booted in namespaces of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_CANNOT = 77
_SOURCE, _PACKAGES = "/opt/checkpointd-source", "/opt/checkpointd-packages"
"""Where checkout and packages are inside: what lies below /tmp or /root is hidden there."""
_CONFIG = """
[[watch]]
name = "srv"
path = "/srv/checkpoints"
settle = "1s"
"""
_FACTS = (
    "started",
    "active as soon as start returns",
    "healthy",
    "verdict under the hardened unit",
    "the sandbox is whole under the hardened unit",
    "status text counts it",
    "the journal has it as JSON",
    "the watchdog is fed",
    "a broken config makes reload fail",
    "and the old one goes on",
    "a good config is taken",
    "a stuck daemon is restarted by the watchdog",
    "and still knows the verdict",
    "stopped cleanly",
    "a wrong config ends with 78",
    "and is not restarted",
)


def _system_python() -> str:
    """The system's Python, which a service may run; it must fit the packages that we have."""
    python = "/usr/bin/python3"
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        said = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=False
        ).stdout.strip()
    except OSError:
        said = "missing"
    if said != ours:
        pytest.skip(f"{python} is {said}, the tests run {ours}: the unit is NOT tried for real")
    return python


@pytest.mark.timeout(240)
def test_the_unit_starts_verifies_reloads_and_is_watched_by_a_real_systemd(tmp_path: Path) -> None:
    """READY, STATUS, WATCHDOG and STOPPING do what they are for, inside the shipped sandbox."""
    python = _system_python()
    packages = next(p for p in sys.path if p.endswith("site-packages"))
    unit = (ROOT / "systemd" / "checkpointd.service").read_text()
    command = f"{python} -m checkpointd"
    unit = re.sub(r"/opt/checkpointd/bin/checkpointd", command, unit)
    # A minute of waiting for the watchdog is too long for a test.
    unit = unit.replace(
        "WatchdogSec=60", f"WatchdogSec=4\nEnvironment=PYTHONPATH={_SOURCE}:{_PACKAGES}"
    )
    (tmp_path / "unit").write_text(unit)
    (tmp_path / "config.toml").write_text(_CONFIG)
    setup = tmp_path / "setup.sh"
    setup.write_text(
        textwrap.dedent(
            """\
            #!/bin/bash
            set -eu
            useradd --system --user-group --home-dir /var/lib/checkpointd checkpointd
            mkdir -p /srv/checkpoints /etc/checkpointd
            cat > /etc/systemd/system/checkpointd.service <<'UNIT'
            {unit}
            UNIT
            cat > /etc/checkpointd/config.toml <<'CONFIG'
            {config}
            CONFIG
            """
        ).format(unit=unit, config=_CONFIG)
    )
    made = tmp_path / "model"
    code = (
        "import sys, keras; "
        "keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)]).export(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(made)], check=True, capture_output=True)
    done = subprocess.run(
        [
            str(HERE / "boot-systemd.sh"),
            "-b",
            f"{tmp_path}:/run/given",
            "-b",
            f"{HERE}:/run/tests",
            "-b",
            f"{ROOT}:{_SOURCE}",
            "-b",
            f"{packages}:{_PACKAGES}",
            "-s",
            str(setup),
            "--",
            "/bin/bash",
            "/run/tests/inside.sh",
            "/run/given/model",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LANG": "C.UTF-8"},
    )
    if done.returncode == _CANNOT:
        pytest.skip(f"this machine boots no systemd, the unit is NOT tried for real: {done.stderr}")
    missing = [fact for fact in _FACTS if f"ok {fact}\n" not in done.stdout]
    assert not missing, f"{missing}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
