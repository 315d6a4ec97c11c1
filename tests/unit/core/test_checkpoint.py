"""The identity of what is on disk."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core.checkpoint import Generation, Member

names = st.text(max_size=20) | st.binary(max_size=20).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
counts = st.integers(0, 2**62)
members = st.builds(Member, names, counts, counts, counts, counts, counts)
generations = st.builds(Generation, st.lists(members, max_size=4).map(tuple))


@given(generations, counts)
def test_a_generation_is_the_same_across_a_remount_a_chmod_and_a_hard_link(
    generation: Generation, number: int
) -> None:
    """Device, inode and ctime are no part of the identity across time; the size is."""
    other = Generation(
        tuple(replace(m, device=number, inode=number, ctime_ns=number) for m in generation.members)
    )
    assert other.key == generation.key
    if generation.members:
        grown = tuple(replace(m, size=m.size + 1) for m in generation.members)
        assert Generation(grown).key != generation.key
