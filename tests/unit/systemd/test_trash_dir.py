"""What a service must be able to write, so that a checkpoint can be renamed into its trash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.systemd import layout, permissions, service

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("trash_dir", "writable"),
    [
        ("", ["/data/runs"]),
        ("/data/undo", ["/data"]),
        ("/data/undo/a", ["/data"]),
        ("/undo", ["/data/runs", "/undo"]),
    ],
)
def test_the_root_and_its_trash_are_in_one_mount(
    tmp_path: Path, trash_dir: str, writable: list[str]
) -> None:
    """Each writable path is a mount of its own for a service, and none is renamed across."""
    config = tmp_path / "config.toml"
    config.write_text(
        '[[watch]]\nname = "a"\npath = "/data/runs"\n[watch.retention]\nmode = "enforce"\n'
        "keep_last = 3\n" + (f'trash_dir = "{trash_dir}"\n' if trash_dir else "")
    )
    named, _ = service.name_all(layout.HOST, config, permissions.identity("nobody"))
    assert list(named.writable) == writable
