"""What protects the web server of a real daemon: at the start, by a reload, and by itself."""

from __future__ import annotations

import base64
import urllib.error
from typing import TYPE_CHECKING

from tests.helpers.daemon import CONFIG, eventually
from tests.helpers.tls import needs_openssl, pair

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.daemon import Daemon

_AUTH = 'basic_auth = { username = "prom", password_file = "web.password" }\n'


def password(daemon: Daemon, word: str) -> None:
    """Put a password where the config says, and use it."""
    place = daemon.home / "web.password"
    place.write_text(f"{word}\n", encoding="utf-8")
    place.chmod(0o600)
    use(daemon, word)


def use(daemon: Daemon, word: str) -> None:
    """Ask with a password from now on."""
    known = base64.b64encode(f"prom:{word}".encode()).decode()
    daemon.headers = {"Authorization": f"Basic {known}"}


def config(daemon: Daemon, web: str, listen: str = "127.0.0.1:0") -> None:
    """Write a config with more in [web]."""
    line = f'listen = "{listen}"\n'
    daemon.config.write_text(CONFIG.replace('listen = "127.0.0.1:0"\n', line + web))


def refused(daemon: Daemon) -> bool:
    """Whether the daemon does not answer to the password that is used."""
    try:
        daemon.status()
    except urllib.error.HTTPError as error:
        return error.code == 401
    return False


def test_a_password_comes_by_a_reload_and_changes_by_itself(daemon: Daemon) -> None:
    """A wrong reload changes nothing; a new address waits for a restart, and is said."""
    daemon.start()
    config(daemon, _AUTH)
    done = daemon.cli("reload")
    assert done.returncode == 78
    assert "web.password does not exist" in done.stdout + done.stderr
    assert "password_file" in daemon.status()["config_error"]
    password(daemon, "0ne")
    daemon.headers = {}
    done = daemon.cli("reload")
    assert (done.returncode, "restart" in done.stdout) == (0, False)
    assert refused(daemon)
    use(daemon, "0ne")
    assert daemon.status()["web_access"]["basic_auth"] is True
    password(daemon, "tw0")
    eventually("the new password to be taken", lambda: not refused(daemon))
    use(daemon, "0ne")
    assert refused(daemon)
    config(daemon, "", "127.0.0.1:1")
    done = daemon.cli("reload")
    assert "needs a restart: web.listen" in done.stdout
    daemon.headers = {}
    assert daemon.status()["problems"] == []
    for secret in ("0ne", "tw0"):
        assert secret not in daemon.log


def test_what_is_open_to_the_network_is_a_problem_and_no_error(daemon: Daemon) -> None:
    """It runs, and status, log and `config check` say so."""
    config(daemon, "", "0.0.0.0:0")
    checked = daemon.cli("config", "check")
    assert checked.returncode == 0
    assert (
        "warning: line 7: web.listen: Anybody who can connect to 0.0.0.0:0 can read"
        in checked.stdout
    )
    daemon.start()
    assert daemon.url.startswith("http://0.0.0.0:")
    assert any(p.startswith("Anybody who can connect") for p in daemon.status()["problems"])
    assert "the web configuration has a warning" in daemon.log
    assert "Anybody who can connect" in daemon.cli("status").stdout


@needs_openssl
def test_a_key_that_cannot_be_used_is_reported_with_its_line(daemon: Daemon) -> None:
    """By `config check`; the daemon does not start without it, and says the same."""
    web, other = pair(daemon.home, "web"), pair(daemon.home, "o")
    config(daemon, '[web.tls]\ncert_file = "web.crt"\nkey_file = "web.key"\n')
    assert daemon.cli("config", "check").returncode == 0
    other.key.replace(web.key)
    problem = f"{web.key} is not the key of the certificate in {web.cert}"
    done = daemon.cli("config", "check")
    assert done.returncode == 78
    assert f"line 10: web.tls.key_file: {problem}" in done.stderr
    started = daemon.cli("run")
    assert started.returncode == 69
    assert problem in started.stderr


def test_a_state_directory_that_everybody_may_write_to_is_refused(daemon: Daemon) -> None:
    """Anybody could put a socket or a ledger there."""
    state: Path = daemon.home / "state"
    state.mkdir()
    state.chmod(0o777)
    started = daemon.cli("run")
    assert started.returncode == 69
    assert "chmod o-w it" in started.stderr
