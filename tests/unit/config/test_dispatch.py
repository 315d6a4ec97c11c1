"""`[dispatch]`: who verifies, and what is refused."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import ConfigError, parse

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import DispatchSettings

TLS = '[dispatch.tls]\nca_file = "ca.crt"\ncert_file = "/etc/fleet.crt"\nkey_file = "fleet.key"\n'


def dispatch(text: str, directory: Path) -> DispatchSettings:
    """The section of a config."""
    return parse(tomllib.loads(f"[dispatch]\n{text}"), directory / "config.toml", text).dispatch


def test_this_host_verifies_by_default(tmp_path: Path) -> None:
    """Nothing has to be configured."""
    assert dispatch("", tmp_path).engine == "local"


def test_a_scheduler_with_tls(tmp_path: Path) -> None:
    """Files are relative to the config."""
    found = dispatch(f'engine = "dask"\nscheduler = "tls://[fd00::1]:8786"\n{TLS}', tmp_path)
    assert found.address == ("fd00::1", 8786)
    assert found.tls is not None
    assert str(found.tls.cert_file) == "/etc/fleet.crt"
    assert found.tls.ca_file == tmp_path / "ca.crt"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_plain_tcp_is_accepted_on_loopback(host: str, tmp_path: Path) -> None:
    """Nobody else can reach it."""
    assert dispatch(f'engine = "dask"\nscheduler = "tcp://{host}:1"', tmp_path).engine == "dask"


def test_plain_tcp_to_another_host_needs_a_word(tmp_path: Path) -> None:
    """A man in the middle could run code."""
    text = 'engine = "dask"\nscheduler = "tcp://10.0.0.1:8786"\n'
    assert dispatch(f"{text}allow_plaintext = true", tmp_path).allow_plaintext
    with pytest.raises(ConfigError, match="neither encrypted nor authenticated"):
        dispatch(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('engine = "dask"', r"dispatch.engine: needs scheduler = "),
        ('scheduler = "tcp://localhost:1"', 'dispatch.scheduler: is not used: add engine = "dask"'),
        ('engine = "dask"\nscheduler = "tls://a:1"', r"needs \[dispatch.tls\] with cert_file"),
        (f'engine = "dask"\nscheduler = "tcp://localhost:1"\n{TLS}', "is not used with tcp://"),
        ('engine = "dask"\nscheduler = "a:1"', 'expected "tls://host:port"'),
        ('engine = "dask"\nscheduler = "tls://a:99999"', 'expected "tls://host:port"'),
        ('engine = "ray"', "must be 'local' or 'dask'"),
    ],
)
def test_each_mistake_gets_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    """It says what to write."""
    with pytest.raises(ConfigError, match=message):
        dispatch(text, tmp_path)
