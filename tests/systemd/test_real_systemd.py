"""The shipped unit and the real daemon under a real systemd, booted in namespaces of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import manual

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_CANNOT = 77
_PACKAGES = "/opt/checkpointd-packages"
"""Where what the wheel depends on is inside."""

_FACT = re.compile(r'ok "([^"]+)"')
FACTS = [
    fact
    for script in ("inside", "reinstall", "restart", "instance", "own", "deb")
    for fact in _FACT.findall((HERE / f"{script}.sh").read_text(encoding="utf-8"))
]
"""What the scripts report when it holds."""

_SETUP = """\
#!/bin/bash
set -eu
# The dependencies, without the checkout that the tests themselves run.
mkdir -p /run/upper /run/work /opt/dependencies
mount -t overlay overlay -o lowerdir={packages},upperdir=/run/upper,workdir=/run/work \\
    /opt/dependencies
rm -rf /opt/dependencies/checkpointd* /opt/dependencies/_checkpointd*
# Checkpoints lie on a file system of their own, as on a real host: not on an overlay.
mkdir -p /data
mount -t tmpfs tmpfs /data
mount -t tmpfs tmpfs /home
rm -f /usr/local/bin/checkpointd
mkdir -p /etc/systemd/system/checkpointd.service.d
# A minute of waiting for the watchdog is too long for a test.
printf '[Service]\\nWatchdogSec=4\\n' >/etc/systemd/system/checkpointd.service.d/test.conf
"""


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


def _packages(directory: Path) -> None:
    """What ships, as `make deb` builds it: the wheel, and the Debian package with it."""
    hatchling = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(hatchling, cwd=ROOT, check=True, capture_output=True)
    page = directory / "checkpointd.1"
    with page.open("wb") as file:
        man = [sys.executable, "-m", "checkpointd", "docs", "--man"]
        subprocess.run(man, cwd=ROOT, check=True, stdout=file)
    if shutil.which("dpkg-deb"):
        [wheel] = directory.glob("*.whl")
        deb = [str(ROOT / ".ci" / "deb"), str(wheel), str(page), str(directory)]
        subprocess.run(deb, check=True, capture_output=True)


@pytest.mark.timeout(600)
def test_the_commands_of_the_readme_install_a_service_that_a_real_systemd_runs(
    tmp_path: Path,
) -> None:
    """From nothing to a verdict; READY, STATUS, WATCHDOG and STOPPING; restarts; one for a user."""
    pytest.importorskip("hatchling", reason="hatchling is missing: the wheel is NOT installed")
    _system_python()
    packages = next(p for p in sys.path if p.endswith("site-packages"))
    _packages(tmp_path)
    commands = manual.block("sh", "python3 -m venv /opt/checkpointd")
    lines = [line.split("  #")[0].rstrip() for line in commands.splitlines()]
    (tmp_path / "commands").write_text("\n".join(lines) + "\n", encoding="utf-8")
    setup = tmp_path / "setup.sh"
    setup.write_text(_SETUP.format(packages=_PACKAGES), encoding="utf-8")
    made = tmp_path / "model"
    code = (
        "import sys, keras; "
        "keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)]).export(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(made)], check=True, capture_output=True)
    done = subprocess.run(
        [
            str(HERE / "boot-systemd.sh"),
            *("-b", f"{tmp_path}:/run/given"),
            *("-b", f"{HERE}:/run/tests"),
            *("-b", f"{packages}:{_PACKAGES}"),
            *("-s", str(setup)),
            "--",
            *("/usr/bin/env", "-C", "/run/given", "PIP_NO_INDEX=1", "PIP_CONFIG_FILE=/dev/null"),
            "PIP_NO_DEPS=1",
            *("/bin/bash", "/run/tests/inside.sh", "/run/given/model", "/run/given/commands"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LANG": "C.UTF-8"},
    )
    if done.returncode == _CANNOT:
        pytest.skip(f"this machine boots no systemd, the unit is NOT tried for real: {done.stderr}")
    sys.stdout.write(done.stdout)
    missing = [fact for fact in FACTS if f"ok {fact}\n" not in done.stdout]
    assert not missing, f"{missing}\n{done.stderr[-3000:]}"
