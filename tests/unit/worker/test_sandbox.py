"""What is reported of the sandbox, and what a child may open: decisions without a kernel."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.request import Previous, Request
from checkpointd.core.verify_settings import Evaluation, UserCheck, VerifySettings
from checkpointd.dispatch.environment import zygote_environment
from checkpointd.verify import user_code
from checkpointd.worker import access_rules, landlock, sandbox_trial
from checkpointd.worker.landlock import READ, READ_DIR, READ_FILE, WRITE, supported_rights
from checkpointd.worker.protocol import SandboxState

if TYPE_CHECKING:
    from pathlib import Path


def test_a_report_contains_the_state_of_the_sandbox() -> None:
    """Briefly if it was complete, otherwise with what was missing."""
    assert SandboxState(7, seccomp=True).summary == "Landlock 7, seccomp"
    assert SandboxState(0, seccomp=True, missing=("x",)).summary == "seccomp, but x"
    assert SandboxState(missing=("x", "y")).summary == "none, but x; y"


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (errno.ENOSYS, "Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK"),
        (errno.EOPNOTSUPP, "add landlock to lsm= on the kernel's command line"),
        (errno.EPERM, "allow the system calls landlock_create_ruleset"),
        (errno.E2BIG, "in too many layers"),
        (errno.EINVAL, "Invalid argument"),
    ],
)
def test_each_cause_of_missing_landlock_has_its_message(error: int, cure: str) -> None:
    """No kernel support, switched off at boot, a container's filter: each has another cure."""
    assert cure in landlock._why(error)


def test_an_older_landlock_gets_only_rights_that_it_supports() -> None:
    """A kernel refuses a ruleset that names what it does not know."""
    assert supported_rights(1) == ((1 << 13) - 1, 0, 0)
    assert supported_rights(2) == ((1 << 14) - 1, 0, 0)
    assert supported_rights(3) == ((1 << 15) - 1, 0, 0)
    assert supported_rights(4) == ((1 << 15) - 1, 0b11, 0)
    assert supported_rights(9) == ((1 << 16) - 1, 0b11, 0b11)


def member(name: str) -> Member:
    """A member, of which only the name counts here."""
    return Member(name, 0, 0, 0, 0, 0)


def test_a_child_may_open_its_checkpoint_and_configured_paths_and_no_more() -> None:
    """A prefix has its files and its directory's names, not its neighbours."""
    settings = VerifySettings(
        python_path=("/src",), read_paths=("/vocabulary",), evaluate=Evaluation(data="/held.npz")
    )
    generation = Generation((member(".index"), member(".data-00000-of-00001")))
    request = Request(Checkpoint("/runs/ckpt-7", Format.TF_CHECKPOINT), generation, settings)
    rules = dict(access_rules.rules_for_request(request, "/scratch/a").rules)
    own = {path: access for path, access in rules.items() if path.startswith("/runs")}
    assert own == {
        "/runs/ckpt-7": READ,
        "/runs/ckpt-7.index": READ_FILE,
        "/runs/ckpt-7.data-00000-of-00001": READ_FILE,
        "/runs/ckpt-7.golden.npz": READ_FILE,
        "/runs": READ_DIR,
    }
    assert {rules[path] for path in ("/src", "/vocabulary", "/held.npz")} == {READ}
    assert [path for path, access in rules.items() if access == WRITE] == ["/scratch/a"]
    assert {sys.prefix, sys.base_prefix} <= rules.keys()


def test_only_user_checks_may_open_the_previous_checkpoint(tmp_path: Path) -> None:
    """Nothing else reads it."""
    (tmp_path / "a.h5").write_bytes(b"x")
    previous = Previous(str(tmp_path / "a.h5"), Facts(format=Format.HDF5))
    checkpoint, generation = Checkpoint("/runs/b.h5", Format.HDF5), Generation((member(""),))
    for settings, may in (
        (VerifySettings(), False),
        (VerifySettings(checks=(UserCheck("own", "m:f"),)), True),
    ):
        request = Request(checkpoint, generation, settings, previous)
        assert (
            access_rules.rules_for_request(request, "/scratch/a").allows_reading(previous.path)
            is may
        )


def test_a_member_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    """By inode: that is what Landlock has bound."""
    path = tmp_path / "m.h5"
    path.write_bytes(b"old")
    generation = Generation((member(""),))
    request = Request(Checkpoint(str(path), Format.HDF5), generation, VerifySettings())
    bound = access_rules.rules_for_request(request, "/scratch/a")
    assert not bound.replaced()
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").replace(path)
    assert bound.replaced()


def test_an_editable_install_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setuptools installs an import hook that knows its location, and no entry of the path."""
    from types import SimpleNamespace

    finder = type("Finder", (), {"__module__": "__editable___mine_finder"})
    module = SimpleNamespace(MAPPING={"mine": "/home/me/mine"})
    monkeypatch.setitem(sys.modules, "__editable___mine_finder", module)  # type: ignore[misc]
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    assert ("/home/me/mine", READ) in access_rules.interpreter_rules()


@pytest.mark.parametrize("confined", [True, False])
def test_an_error_of_user_code_mentions_the_sandbox_that_refused_it(
    monkeypatch: pytest.MonkeyPatch, confined: bool
) -> None:
    """The sentence names read_paths; where no sandbox is on, permissions are permissions."""
    if confined:
        monkeypatch.setenv(user_code.CONFINED, "1")

    def reads(_: Any) -> None:
        error = RuntimeError("no vocabulary")
        raise error from PermissionError(13, "Permission denied", "/etc/secret")

    with pytest.raises(user_code.UserCodeError) as caught:
        user_code.call(reads, None, "The check 'own'")
    assert ("read_paths of [watch.verify]" in str(caught.value)) is confined


def test_a_zygote_inherits_no_variable_that_loads_code_or_holds_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The environment is made anew of a few names; libraries and modules are found as before."""
    harmful = (
        *("LD_PRELOAD", "LD_AUDIT", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONINSPECT"),
        *("HDF5_PLUGIN_PATH", "HDF5_DRIVER", "HDF5_VOL_CONNECTOR", "TF_PLUGGABLE_DEVICE_LIBRARY"),
        *("AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_KEY"),
        *("SSH_AUTH_SOCK", "http_proxy", "DBUS_SESSION_BUS_ADDRESS", "NOTIFY_SOCKET"),
    )
    for name in harmful:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    made = zygote_environment(tmp_path, "")
    assert not set(harmful) & made.keys()
    assert made["LD_LIBRARY_PATH"] == "/opt/lib"
    assert made["HDF5_PLUGIN_PRELOAD"] == "::"
    assert made["HOME"] == str(tmp_path) != os.environ.get("HOME")


def test_a_zygote_that_cannot_try_the_sandbox_reports_no_state(
    tmp_path: Path,
) -> None:
    """Its scratch is gone, or the disk full: each child enters its own sandbox in any case."""
    assert sandbox_trial.try_sandbox(str(tmp_path / "gone")) is None


def test_an_error_in_the_trial_child_leaves_no_second_zygote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child exits whatever happens in it, and never runs the code of its parent."""

    def fails(*_: object) -> SandboxState:
        raise MemoryError

    monkeypatch.setattr(sandbox_trial.sandbox, "enter_child", fails)
    state = sandbox_trial.try_sandbox(str(tmp_path))
    with (tmp_path / "came back").open("a") as file:
        file.write(f"{os.getpid()}\n")
    assert state is None
    assert (tmp_path / "came back").read_text() == f"{os.getpid()}\n"
