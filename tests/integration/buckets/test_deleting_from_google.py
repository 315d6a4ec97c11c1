"""Conditional deletes from gs:// of what a listing shows, from a stub that keeps the conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("obstore")
pytest.importorskip("google.auth")

from checkpointd.buckets import BucketClient
from checkpointd.buckets.client import ObjectChangedError
from checkpointd.buckets.stores import deleting_store
from checkpointd.core.urls import parse_url
from tests.helpers import gcs

if TYPE_CHECKING:
    from checkpointd.buckets.client import StoredObject

URL = f"gs://{gcs.BUCKET}/runs"
KEY = "runs/ckpt-1.keras"


pytestmark = pytest.mark.usefixtures("google")


def _listed() -> StoredObject:
    (page,) = BucketClient(parse_url(URL)).pages("runs")
    return page[0]


def test_what_was_listed_is_deleted_although_its_header_has_no_fraction_of_a_second() -> None:
    """Google lists milliseconds, and answers about one object with whole seconds."""
    gcs.OBJECTS[KEY] = gcs.Stored(b"verified", 7, 1_700_000_000.25)
    listed = _listed()
    assert listed.mtime_ns % 10**9 == 250_000_000
    store = deleting_store(URL)
    condition = store.condition_of(listed)
    assert condition == "7"
    store.delete(KEY, condition)
    assert KEY not in gcs.OBJECTS


def test_what_was_written_over_since_it_was_listed_or_looked_at_stays() -> None:
    """Before the generation is asked for, by its identity; after that, by the generation."""
    gcs.OBJECTS[KEY] = gcs.Stored(b"verified", 7, 1_700_000_000.25)
    listed = _listed()
    store = deleting_store(URL)
    condition = store.condition_of(listed)
    gcs.OBJECTS[KEY] = gcs.Stored(b"other", 8, 1_700_000_002.5)
    with pytest.raises(ObjectChangedError):
        store.condition_of(listed)
    with pytest.raises(ObjectChangedError):
        store.delete(KEY, condition)
    gcs.OBJECTS[KEY] = gcs.Stored(b"verified", 9, 1_700_000_003.5)
    with pytest.raises(ObjectChangedError):
        store.condition_of(listed)
    assert KEY in gcs.OBJECTS
