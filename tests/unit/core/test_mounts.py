"""The file system of a root, read from mountinfo."""

from __future__ import annotations

import pytest

from checkpointd.core.mounts import file_system, is_remote

MOUNTS = r"""21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:40 / /mnt/my\040data rw,relatime shared:5 master:1 - nfs4 server:/x rw
31 30 0:41 / /mnt/my\040data/local rw - xfs /dev/sdb rw
32 21 0:42 / /data rw - ext4 /dev/sdc rw
33 32 0:43 / /data rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home", "ext4"),
        ("/mnt/my data/run", "nfs4"),
        ("/mnt/my data/local/run", "xfs"),
        ("/mnt/my database", "ext4"),
        ("/data/x", "fuse.sshfs"),
    ],
)
def test_the_file_system_is_that_of_the_deepest_and_last_mount(path: str, kind: str) -> None:
    """Mount points are escaped in mountinfo, and may be mounted over."""
    assert file_system(path, MOUNTS) == kind


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        *((k, True) for k in ("nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "9p", "ceph")),
        *((k, True) for k in ("lustre", "gpfs", "beegfs", "virtiofs")),
        *((k, False) for k in ("ext4", "xfs", "btrfs", "tmpfs", "zfs", "overlay", "fusectl", "")),
    ],
)
def test_network_and_fuse_file_systems_are_remote(kind: str, remote: bool) -> None:
    """Others can write there without an event here, so they are polled."""
    assert is_remote(kind) is remote


def test_the_file_system_of_this_machine_is_known() -> None:
    """This machine's mountinfo can be read."""
    assert file_system("/proc") == "proc"
