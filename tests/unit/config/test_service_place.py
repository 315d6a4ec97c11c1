"""How a command that names no config finds the service, or the user's own daemon."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from checkpointd import config
from checkpointd.config import locate, service_place
from checkpointd.config.service_place import ServicePlace, publish_place, running_service
from checkpointd.core.permissions import user_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host on which nothing is installed."""
    for name in ("CHECKPOINTD_CONFIG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run-user"))
    monkeypatch.setattr(locate, "DEFAULT_PATH", tmp_path / "etc/checkpointd/config.toml")
    monkeypatch.setattr(locate, "SERVICE_STATE_DIR", tmp_path / "var/checkpointd")
    monkeypatch.setattr(service_place, "RUNTIME_DIRECTORY", tmp_path / "run/checkpointd")
    return tmp_path


def _make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def _run_service(directory: Path, place: ServicePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir(parents=True)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(directory))
    publish_place(place)
    monkeypatch.delenv("RUNTIME_DIRECTORY")


def test_the_config_is_the_first_that_is_there(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's, the running service's, that of the user's instance, the user's own."""
    system = host / "etc/checkpointd/config.toml"
    assert config.find(None) == system
    own = _make(host / "config/checkpointd/config.toml")
    assert config.find(None) == own
    instance = _make(host / f"etc/checkpointd-{user_name(os.geteuid())}/config.toml")
    assert config.find(None) == instance
    service = _make(host / "srv/other.toml")
    _run_service(host / "run/checkpointd", ServicePlace(service, host / "srv/state"), monkeypatch)
    assert config.find(None) == service
    _make(system)
    assert config.find(None) == system


def test_the_state_of_a_service_is_found_without_its_environment(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its config: that of the system, of an instance, of one that runs with another config."""
    (host / "var/checkpointd-alice").mkdir(parents=True)
    assert (
        config.default_state_dir(host / "etc/checkpointd-alice") == host / "var/checkpointd-alice"
    )
    assert config.default_state_dir(host / "etc/checkpointd-bob") == host / "own/checkpointd"
    place = ServicePlace(host / "srv/other.toml", host / "srv/state")
    _run_service(host / "run/checkpointd", place, monkeypatch)
    assert config.default_state_dir(host / "srv") == host / "srv/state"
    assert config.default_state_dir(host / "elsewhere") == host / "own/checkpointd"


def test_without_a_config_the_state_is_that_of_the_service_else_the_users_own(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several, the first that there is; a service of the user's own systemd counts too."""
    assert config.unnamed_state_dir() == host / "own/checkpointd"
    user_service = ServicePlace(host / "user.toml", host / "user-state")
    (host / "user-state").mkdir()
    _run_service(host / "run-user/checkpointd", user_service, monkeypatch)
    assert config.unnamed_state_dir() == host / "user-state"
    (host / "var/checkpointd").mkdir(parents=True)
    (host / "user-state").rmdir()
    assert config.unnamed_state_dir() == host / "var/checkpointd"


def test_everybody_may_read_where_the_service_is(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the umask; it is written whole, and without `$RUNTIME_DIRECTORY` nowhere."""
    place = ServicePlace(host / "c.toml", host / "s")
    publish_place(place)
    assert not list(host.iterdir())
    umask = os.umask(0o077)
    try:
        _run_service(host / "run/checkpointd", place, monkeypatch)
    finally:
        os.umask(umask)
    (file,) = (host / "run/checkpointd").iterdir()
    assert file.stat().st_mode & 0o777 == 0o644
    assert running_service() == place


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"config": 1, "state_dir": "/s"}', '{"config": "c"}', "[" * 9999]
)
def test_what_is_no_place_is_not_believed(host: Path, content: str) -> None:
    """A file that is torn or of another version is as good as none."""
    file = _make(host / "run/checkpointd/service.json")
    file.write_text(content)
    assert running_service() is None
    file.write_text(json.dumps({"config": "relative", "state_dir": "/s"}))
    assert running_service() is None
