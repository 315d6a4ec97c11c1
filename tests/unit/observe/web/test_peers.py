"""Who is at the other end of a socket."""

from __future__ import annotations

import os
import socket

import pytest

from checkpointd.observe.web.peers import peer_network, peer_uid


def test_the_kernel_reports_the_user_at_the_other_end() -> None:
    """Here it is this process."""
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_uid(one) == os.geteuid()


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3::9", 5, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        (("::1", 5, 0, 0), "::1"),
        ("", ""),
    ],
)
def test_a_peer_is_counted_by_what_one_host_has(address: object, peer: str) -> None:
    """Of IPv6 one host has a whole network of addresses."""
    assert peer_network(address) == peer
