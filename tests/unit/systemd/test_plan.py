"""What is written, updated, kept and left alone."""

from __future__ import annotations

import pytest

from checkpointd.systemd.layout import HOST, for_user, own
from checkpointd.systemd.plan import (
    File,
    Named,
    Step,
    accounts,
    drop_ins,
    first_config,
    step,
    units,
)
from checkpointd.systemd.stamp import body, is_untouched, stamped

UNIT = File("/etc/systemd/system/checkpointd.service", "[Service]\nNice=10\n")
NAMED = Named("/var/lib/checkpointd", "127.0.0.1:9746")


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        (None, Step.WRITE),
        (UNIT.content, Step.NOTHING),
        (UNIT.text, Step.NOTHING),
        (stamped("[Service]\nNice=5\n"), Step.UPDATE),
        (UNIT.content.replace("Nice=10", "Nice=5"), Step.KEEP),
        (UNIT.content + "Nice=5\n", Step.KEEP),
        ("[Service]\nNice=5\n", Step.KEEP),
        ("", Step.KEEP),
    ],
    ids=["absent", "same", "copied", "older", "edited", "appended", "other", "empty"],
)
def test_what_a_person_has_changed_is_never_overwritten(
    existing: str | None, expected: Step
) -> None:
    """An older version that was written here is updated; anything else belongs to somebody."""
    assert step(UNIT, existing) is expected


def test_a_config_is_only_ever_written_where_there_is_none() -> None:
    """It is the user's, whatever is in it, and carries no mark."""
    config = first_config(HOST, ["/data/runs"], "127.0.0.1:9746")
    assert step(config, None) is Step.WRITE
    assert step(config, "") is Step.NOTHING
    assert config.content == config.text


def test_a_mark_holds_for_its_text_alone() -> None:
    """Also where the text has been cut short, or the mark was copied to another."""
    text = stamped("[Unit]\n")
    assert is_untouched(text)
    assert body(text) == "[Unit]\n"
    assert not is_untouched(text[:-1])
    assert not is_untouched("[Unit]\n")


def test_the_units_start_the_program_that_was_called() -> None:
    """A venv somewhere else, or an interpreter with -m; nothing is left of the shipped path."""
    for program in (
        "/usr/local/pipx/checkpointd/bin/checkpointd",
        "/usr/bin/python3 -m checkpointd",
    ):
        service = next(f for f in units(HOST, program, NAMED) if f.path.endswith(".service"))
        assert f"\nExecStart={program} --config /etc/checkpointd/config.toml run\n" in service.text
        assert "/opt/checkpointd" not in service.text


def test_the_socket_listens_where_the_config_says() -> None:
    """The address of the status page, and the control socket in the state directory."""
    named = Named("/srv/state", "[::1]:9000")
    socket = next(f for f in units(HOST, "/bin/c", named) if f.path.endswith(".socket"))
    lines = socket.text.splitlines()
    found = [line for line in lines if line.startswith("ListenStream=")]
    assert found == ["ListenStream=/srv/state/control.sock", "ListenStream=[::1]:9000"]


def test_an_instance_has_its_address_in_a_drop_in() -> None:
    """The template is that of all instances."""
    alice = for_user("alice")
    assert {f.path.rpartition("/")[2] for f in units(alice, "/bin/c", NAMED)} == {
        "checkpointd@.service",
        "checkpointd@.socket",
        "checkpointd.slice",
    }
    drop_in = next(f for f in drop_ins(alice, NAMED) if f.path.endswith("listen.conf"))
    assert drop_in.path == "/etc/systemd/system/checkpointd@alice.socket.d/listen.conf"
    assert "\nListenStream=127.0.0.1:9746\n" in drop_in.text


def test_a_unit_of_an_own_systemd_has_nothing_that_needs_privileges() -> None:
    """Neither another user nor mounts; limits and system calls stay."""
    place = own("/home/alice/.config", "/home/alice/.local/state")
    named = Named(place.state_dir, "127.0.0.1:9746")
    service, socket = units(place, "/home/alice/venv/bin/checkpointd", named)
    keys = {line.partition("=")[0] for line in service.text.splitlines()}
    assert not keys & {"User", "Group", "ProtectSystem", "PrivateTmp", "StateDirectory", "Slice"}
    assert {"Type", "WatchdogSec", "MemoryMax", "SystemCallFilter", "NoNewPrivileges"} <= keys
    assert "--config /home/alice/.config/checkpointd/config.toml run\n" in service.text
    assert "WantedBy=default.target" in service.text
    assert "ListenStream=/home/alice/.local/state/checkpointd/control.sock" in socket.text
    assert "SocketUser" not in socket.text


def test_the_units_of_a_package_stay_as_they_are() -> None:
    """What the config changes in them is in a drop-in, which replaces the places of the socket."""
    assert [f.path.rpartition("/")[2] for f in drop_ins(HOST, NAMED, packaged=True)] == [
        "directories.conf"
    ]
    assert accounts(HOST, "checkpointd", packaged=True) == []
    named = Named("/var/lib/checkpointd", "0.0.0.0:80")
    text = drop_ins(HOST, named, packaged=True)[1].text
    assert text.partition("[Socket]\n")[2] == (
        "ListenStream=\nListenStream=/var/lib/checkpointd/control.sock\nListenStream=0.0.0.0:80\n"
    )
