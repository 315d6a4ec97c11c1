"""By which names the daemon may be called."""

from __future__ import annotations

import pytest

from checkpointd.observe.web.hosts import is_known_host


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9746",
        "127.0.0.1",
        "[::1]:9746",
        "[::1]",
        "192.0.2.1:80",
        "localhost",
        "LOCALHOST:9746",
        "localhost.:9746",
        "a.localhost",
        "gpu1.example.org:9746",
        "GPU1.example.org.",
    ],
)
def test_an_address_and_its_own_names_are_ours(host: str) -> None:
    """With and without a port, in any case."""
    assert is_known_host([host], {"gpu1.example.org"})


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1@evil.example",
        "example.org",
        "xgpu1.example.org",
        "2130706433",
        "0x7f.1",
        "[evil]",
        "",
        " ",
        "\xff",
    ],
)
def test_any_other_name_is_not(host: str) -> None:
    """What looks like an address to somebody else is a name that could be rebound."""
    assert not is_known_host([host], {"gpu1.example.org"})


def test_none_is_for_old_clients_and_two_are_an_attack() -> None:
    """A browser always sends one."""
    assert is_known_host([], set())
    assert not is_known_host(["localhost", "evil.example"], set())
    assert not is_known_host(["localhost", "localhost"], set())
