"""One server of S3 for all tests about buckets; each has prefixes of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.s3 import S3Server, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running server; a test that stops it starts it again."""
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running
