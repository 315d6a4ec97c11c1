"""`[web]`: its values, and the paths of its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpointd import config
from checkpointd.config.dump import dump
from checkpointd.config.web import WebSettings

WHOLE = """
[web]
listen = "0.0.0.0:9746"
hosts = ["GPU1.Example.org."]
basic_auth = { username = "prometheus", password_file = "web.password" }
[web.tls]
cert_file = "tls/web.crt"
key_file = "/etc/ssl/private/web.key"
client_ca_file = "clients.crt"
"""


def test_its_files_are_relative_to_the_config(tmp_path: Path) -> None:
    """As all paths are; names of hosts are compared in lower case."""
    (tmp_path / "config.toml").write_text(WHOLE, encoding="utf-8")
    web = config.load(tmp_path / "config.toml").web
    assert web.tls is not None
    assert web.basic_auth is not None
    assert web.tls.cert_file == tmp_path / "tls/web.crt"
    assert web.tls.key_file == Path("/etc/ssl/private/web.key")
    assert web.tls.client_ca_file == tmp_path / "clients.crt"
    assert web.basic_auth.password_file == tmp_path / "web.password"
    assert web.hosts == ("gpu1.example.org",)


def test_what_is_shown_of_it_is_read_again(tmp_path: Path) -> None:
    """`config show` names the file of the password, and never opens it."""
    first, second = tmp_path / "config.toml", tmp_path / "shown.toml"
    first.write_text(WHOLE, encoding="utf-8")
    loaded = config.load(first)
    second.write_text(dump(loaded), encoding="utf-8")
    assert config.load(second) == loaded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[web.tls]\ncert_file = "a"', "line 1: web.tls.key_file: is missing"),
        ('[web]\nbasic_auth = { username = "a" }', "web.basic_auth.password_file: is missing"),
        ('[web]\nbasic_auth = { username = "a:b", password_file = "p" }', "no colon"),
        ('[web]\nhosts = ["a:1"]', "without a port"),
        ('[web]\nhosts = ["https://a"]', "the name of a host"),
        ('[web.tls]\ncert = "a"', "did you mean 'cert_file'?"),
        ('[web]\npassword = "hunter2"', "web.password: there is no such key"),
    ],
)
def test_each_error_is_reported_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    """Before anything listens."""
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(config.ConfigError) as caught:
        config.load(tmp_path / "config.toml")
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("listen", "inside"),
    [
        ("127.0.0.1:1", True),
        ("127.1.2.3:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("gpu1:1", False),
        ("192.0.2.1:1", False),
    ],
)
def test_whether_only_this_machine_can_reach_it(listen: str, inside: bool) -> None:
    """A name that is not localhost may be anything."""
    assert WebSettings(listen=listen).on_loopback is inside
