"""What the tests of the installer share."""

from __future__ import annotations

import pytest

from checkpointd.systemd import service
from checkpointd.systemd.disk import Disk

PROGRAM = "/usr/bin/env"


@pytest.fixture
def program_of_the_system(monkeypatch: pytest.MonkeyPatch) -> str:
    """A program where the service can start it, and no accounts made by these tests."""
    monkeypatch.setattr(service, "find_program", lambda: PROGRAM)
    monkeypatch.setattr(service.sys, "executable", PROGRAM)
    monkeypatch.setattr(service.sys, "base_prefix", "/usr")
    monkeypatch.setattr(service.sysconfig, "get_path", lambda _name: "/usr/lib")
    monkeypatch.setattr(Disk, "run", lambda *_: "")
    return PROGRAM
