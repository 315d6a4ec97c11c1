"""Which connection is dropped for one too many."""

from __future__ import annotations

import socket

import pytest

from checkpointd.observe.web.connections import (
    MAX_CONNECTIONS,
    Connection,
    Limits,
    admission,
    limits,
)

NOW = 1000.0
FOUR = Limits(total=4, per_peer=2)


def connection(
    peer: str, since: float, *, answered: bool = False, busy_since: float | None = None
) -> Connection:
    """A connection of a peer."""
    with socket.socket() as sock:
        return Connection(peer, sock, since, answered=answered, busy_since=busy_since)


def test_below_the_limits_nobody_is_dropped() -> None:
    """Up to the limits."""
    assert admission([], "a", NOW, FOUR) == (True, None)
    assert admission([connection("a", 1), connection("b", 1)], "a", NOW, FOUR) == (True, None)


def test_a_peer_drops_its_own_oldest_silence_first() -> None:
    """Nobody else loses anything by one that opens many; who was answered before goes later."""
    answered, older, newer = (
        connection("a", 1, answered=True),
        connection("a", 2),
        connection("a", 3),
    )
    limit = Limits(total=9, per_peer=3)
    assert admission([answered, newer, older, connection("b", 0)], "a", NOW, limit) == (True, older)


def test_when_all_are_taken_the_most_crowded_peer_gives_way() -> None:
    """A new peer gets in, no matter who holds the other connections."""
    crowd = [connection("a", n) for n in (2, 1, 3)]
    assert admission([*crowd, connection("b", 0)], "c", NOW, Limits(4, 4)) == (True, crowd[1])


def test_who_reads_too_slowly_goes_before_who_was_answered() -> None:
    """An answer is sent in milliseconds; one that takes seconds is not being read."""
    slow, idle = connection("a", 1, busy_since=NOW - 3), connection("a", 2, answered=True)
    assert admission([idle, slow], "a", NOW, FOUR) == (True, slow)


def test_an_answer_that_is_just_being_given_is_never_cut_off() -> None:
    """Then the newcomer has to try again."""
    busy = [connection("a", n, busy_since=NOW - 1) for n in range(2)]
    assert admission(busy, "a", NOW, FOUR) == (False, None)


def test_over_the_control_socket_an_answer_may_take_long() -> None:
    """Somebody waits for a verification; only silence gives way there."""
    slow = Limits(total=4, per_peer=2, slow_answers=True)
    waits, silent = connection("0", 1, busy_since=1), connection("0", 2)
    assert admission([waits, silent], "0", NOW, slow) == (True, silent)
    assert admission([waits, waits], "0", NOW, slow) == (False, None)


@pytest.mark.parametrize(
    ("files", "total"), [(65536, MAX_CONNECTIONS), (1024, 64), (256, 32), (20, 8)]
)
def test_connections_take_a_small_part_of_the_files_that_may_be_open(
    files: int, total: int
) -> None:
    """The ledger, the workers and the watches need the rest."""
    assert limits(files=files) == Limits(total, total // 2)
