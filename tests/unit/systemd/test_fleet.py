"""`systemd install --worker` into a root directory of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.config import load
from checkpointd.systemd import installer, render, service
from checkpointd.systemd.disk import Disk
from checkpointd.systemd.fleet import install_worker, uninstall_worker
from checkpointd.systemd.layout import HOST, for_user, own
from checkpointd.systemd.plan import Step

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("program_of_the_system")


def test_a_worker_is_installed_and_removed(tmp_path: Path, program_of_the_system: str) -> None:
    """With this program; its config says what to name, and stays."""
    disk = Disk(str(tmp_path))
    done = install_worker(disk, HOST)
    unit = (tmp_path / "etc/systemd/system/checkpointd-worker.service").read_text("utf-8")
    assert (
        f"ExecStart={program_of_the_system} --config /etc/checkpointd/config.toml worker\n" in unit
    )
    assert done.next_steps == [
        "name the scheduler and the certificates in /etc/checkpointd/config.toml",
        "systemctl daemon-reload",
        "systemctl enable --now checkpointd-worker",
    ]
    config = tmp_path / "etc/checkpointd/config.toml"
    lines = config.read_text("utf-8").splitlines()[1:]
    config.write_text("\n".join(line[2:] for line in lines), encoding="utf-8")
    assert load(config).dispatch.engine == "dask"
    again = Disk(str(tmp_path))
    assert install_worker(again, HOST).next_steps == ["systemctl restart checkpointd-worker"]
    assert {step for step, _ in again.steps} == {Step.NOTHING}
    removed = uninstall_worker(Disk(str(tmp_path)), HOST)
    assert removed.removed == ["/etc/systemd/system/checkpointd-worker.service"]
    assert config.exists()


def test_the_daemon_leaves_what_a_worker_needs(tmp_path: Path) -> None:
    """Both are in one slice."""
    installer.install(Disk(str(tmp_path)), HOST, ["/data/runs"], str(tmp_path))
    install_worker(Disk(str(tmp_path)), HOST)
    done = installer.uninstall(Disk(str(tmp_path)), HOST)
    assert "/etc/systemd/system/checkpointd.service" in done.removed
    assert "/etc/systemd/system/checkpointd.slice" not in done.removed


def test_a_worker_of_a_users_own_systemd_needs_no_root(tmp_path: Path) -> None:
    """Its state is theirs."""
    place = own("/home/a/.config", "/home/a/.local/state")
    install_worker(Disk(str(tmp_path)), place)
    unit = tmp_path / "home/a/.config/systemd/user/checkpointd-worker.service"
    assert "User=" not in unit.read_text("utf-8")
    config = (tmp_path / "home/a/.config/checkpointd/config.toml").read_text("utf-8")
    assert 'state_dir = "/home/a/.local/state/checkpointd"' in config


def test_a_worker_for_a_user_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """There is no template of it."""
    with pytest.raises(service.InstallError, match="systemctl edit checkpointd-worker"):
        install_worker(Disk(str(tmp_path)), for_user("alice"))


def test_the_service_of_a_daemon_may_connect_to_its_scheduler(tmp_path: Path) -> None:
    """And nowhere else, where its address is written as one."""
    config = tmp_path / "etc/checkpointd/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        '[dispatch]\nengine = "dask"\nscheduler = "tls://10.1.0.7:8786"\n'
        '[dispatch.tls]\nca_file = "a"\ncert_file = "b"\nkey_file = "c"\n',
        encoding="utf-8",
    )
    installer.install(Disk(str(tmp_path)), HOST, [], str(tmp_path))
    drop_in = tmp_path / "etc/systemd/system/checkpointd.service.d/directories.conf"
    text = drop_in.read_text("utf-8")
    assert "\nRestrictAddressFamilies=AF_INET AF_INET6\nIPAddressAllow=10.1.0.7\n" in text
    named = render.directories([], [], [], scheduler="scheduler.example.org")
    assert "IPAddressAllow=any\n" in named


def test_the_service_of_a_daemon_that_copies_may_connect_to_its_bucket(tmp_path: Path) -> None:
    """A store is on other hosts; without this every copy would fail."""
    pytest.importorskip("obstore")
    config = tmp_path / "etc/checkpointd/config.toml"
    config.parent.mkdir(parents=True)
    watch = '[[watch]]\nname = "a"\npath = "/data"\nreplicate = { to = "s3://backups/runs" }\n'
    config.write_text(watch, encoding="utf-8")
    installer.install(Disk(str(tmp_path)), HOST, [], str(tmp_path))
    drop_in = tmp_path / "etc/systemd/system/checkpointd.service.d/directories.conf"
    assert "IPAddressAllow=any\n" in drop_in.read_text("utf-8")
