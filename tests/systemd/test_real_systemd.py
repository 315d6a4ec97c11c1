"""The shipped unit and the real daemon under a real systemd, booted in namespaces of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers import manual

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_CANNOT = 77
_PACKAGES = "/opt/checkpointd-packages"
"""Where what the wheel depends on is inside."""

FIREWALL = "only this host is let in"
_FACT = re.compile(r'ok "([^"]+)"')
FACTS = [
    fact
    for script in ("inside", "reinstall", "restart", "instance", "own", "worker", "deb")
    for fact in _FACT.findall((HERE / f"{script}.sh").read_text(encoding="utf-8"))
] + ["each user gets what the manual says", FIREWALL]
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
mkdir -p /etc/systemd/system/checkpointd-worker.service.d
printf '[Service]\\nRestartSec=1\\n' >/etc/systemd/system/checkpointd-worker.service.d/test.conf
"""


def _system_python() -> str:
    """The system's Python, which a service may run; it must fit the packages that we have."""
    python = "/usr/bin/python3"
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        version = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=False
        ).stdout.strip()
    except OSError:
        version = "missing"
    if version != ours:
        pytest.skip(f"{python} is {version}, the tests run {ours}: the unit is NOT tried for real")
    return python


def _fleet() -> dict[str, str]:
    """What the page about fleets shows, for one host, and with what is installed here."""
    dispatch = manual.block("toml", "paths are relative to this file")
    scheduler = manual.block("ini", "checkpointd-scheduler.service")
    program = "/opt/checkpointd/bin/python -m distributed.cli.dask_scheduler"
    return {
        "fleet-certificates": manual.block("sh", "# a certificate, there, for each host"),
        "fleet-daemon": manual.block("sh", "systemctl restart checkpointd\ncheckpointd status"),
        "fleet-dispatch": dispatch.replace("scheduler.example.org", "127.0.0.1"),
        "fleet-scheduler": scheduler.replace("/opt/checkpointd/bin/dask scheduler", program),
    }


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ships, as `make deb` builds it: the wheel, and the Debian package with it."""
    pytest.importorskip("hatchling", reason="hatchling is missing: the wheel is NOT installed")
    directory = tmp_path_factory.mktemp("packages")
    hatchling = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(hatchling, cwd=ROOT, check=True, capture_output=True)
    page = directory / "checkpointd.1"
    with page.open("wb") as file:
        man = [sys.executable, "-m", "checkpointd", "docs", "--man"]
        subprocess.run(man, cwd=ROOT, check=True, stdout=file)
    if shutil.which("dpkg-deb"):
        [wheel] = directory.glob("*.whl")
        deb = [str(ROOT / ".ci" / "deb"), str(wheel), str(page), str(directory)]
        env = {**os.environ, "DEBEMAIL": "packages@debian.org"}
        subprocess.run(deb, check=True, capture_output=True, env=env)
    return directory


def test_the_wheel_has_the_units_of_the_checkout_and_no_others(packages: Path) -> None:
    """They exist once: what ships is what stands in systemd/."""
    [wheel] = packages.glob("*.whl")
    prefix = "checkpointd/systemd/files/"
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(prefix)]
        found = {name.removeprefix(prefix): archive.read(name) for name in names}
    here = ROOT / "systemd"
    expected = {str(p.relative_to(here)): p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert found == expected


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb")
def test_the_debian_package_has_the_units_for_root_and_lintian_finds_nothing(
    packages: Path,
) -> None:
    """Everything belongs to root; the config is dpkg's conffile, and not readable for everybody."""
    [deb] = packages.glob("*.deb")

    def ask(*command: str) -> str:
        return subprocess.run(
            [*command, str(deb)], capture_output=True, text=True, check=True
        ).stdout

    rows = [line.split(maxsplit=5) for line in ask("dpkg-deb", "-c").splitlines()]
    modes = {row[5].removeprefix("."): row[0] for row in rows}
    assert {row[1] for row in rows} == {"root/root"}
    assert modes["/etc/checkpointd/config.toml"] == "-rw-r-----"
    for unit in (ROOT / "systemd").glob("checkpointd*.s*"):
        if unit.suffix in (".service", ".socket", ".slice"):
            assert modes[f"/lib/systemd/system/{unit.name}"] == "-rw-r--r--"
    assert subprocess.run(
        ["dpkg-deb", "--info", str(deb), "conffiles"], capture_output=True, text=True, check=True
    ).stdout.split() == ["/etc/checkpointd/config.toml"]
    if shutil.which("lintian"):
        done = subprocess.run(
            ["lintian", "--allow-root", "--fail-on", "error,warning", str(deb)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.timeout(600)
def test_the_commands_of_the_readme_install_a_service_that_a_real_systemd_runs(
    packages: Path, tmp_path: Path
) -> None:
    """From nothing to a verdict; READY, STATUS, WATCHDOG and STOPPING; restarts; one for a user."""
    _system_python()
    dependencies = next(p for p in sys.path if p.endswith("site-packages"))
    for package in packages.iterdir():
        shutil.copy(package, tmp_path)
    commands = manual.block("sh", "\n/opt/checkpointd/bin/pip install checkpointd-*.whl")
    lines = [line.split("  #")[0].rstrip() for line in commands.splitlines()]
    (tmp_path / "commands").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, text in _fleet().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
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
            *("-b", f"{dependencies}:{_PACKAGES}"),
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
    if "does not support BPF" in done.stdout and FIREWALL in missing:
        missing.remove(FIREWALL)
        sys.stdout.write("this kernel has no BPF for cgroups: IPAddressDeny= is NOT tried\n")
    assert not missing, f"{missing}\n{done.stderr[-3000:]}"
