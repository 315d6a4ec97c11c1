"""What is on a page, without a browser, and a checkpoint to show there."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from tests.helpers.observe import NOW


class Outline(HTMLParser):
    """Counts the tags and collects the words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag's name."""
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """All words of the page, in one line."""
        return " ".join(" ".join(self.words).split())


DETAIL: dict[str, Any] = {
    "id": 7,
    "path": "/srv/runs/ckpt-7",
    "watch": "runs",
    "series": "ckpt-{}",
    "series_id": "0123456789abcdef",
    "state": "invalid",
    "reason": "finite.nan",
    "message": "12 of 40 are NaN.",
    "step": 7,
    "metrics": {"loss": 0.25},
    "format": "hdf5",
    "size_bytes": 2**20,
    "saved_at": NOW - 90,
    "verified_at": NOW - 60,
    "duration_seconds": 0.4,
    "shown": ["intact"],
    "checks": [
        {
            "name": "finite",
            "outcome": "fail",
            "reason": "finite.nan",
            "message": "12 of 40 are NaN.",
            "duration_seconds": 0.01,
            "details": {"nan": 12, "tensors": ["dense/kernel"]},
        }
    ],
    "previous": {"id": 6, "step": 6, "path": "/srv/runs/ckpt-6", "state": "valid"},
    "next": None,
    "facts": {"writer": "keras 3", "tensor_count": 2, "parameter_count": 40},
    "tensors": [{"name": "dense/kernel", "dtype": "float32", "shape": [4], "norm": 2.5, "rms": 1}],
    "tensors_left_out": 3,
    "environment": {"tensorflow": "2.21.0"},
    "stderr": "one line\nanother",
}
"""The object of `/api/v1/checkpoints/{id}`."""
