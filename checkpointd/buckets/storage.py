"""Objects as a tree of directories and files, so that formats and watches read them as such.

The keys of a bucket are paths with `/` in between. A watch renews one flat listing of its root for
each poll; what is outside of one is listed directory by directory, when it is asked for.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from checkpointd.buckets.client import BucketClient, StoredObject
from checkpointd.core.urls import is_plain_key, parse_url
from checkpointd.formats.storage import Entry, Stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_MOST_PIECES = 4096
"""How many pieces of objects are cached, a few kilobytes each at most."""

_DIRECTORY = Stat(0, 0, 0, 0, 0, is_dir=True, is_file=False)

Nodes = dict[str, StoredObject | None]
"""What a directory holds by name: objects, and None for each directory."""


class BucketStorage:
    """One bucket as a `formats.Storage`; used from one thread at a time.

    `pages` counts the requested pages of listings.

    Args:
        url: names the bucket; what follows that does not matter.

    Raises:
        OSError: obstore is missing, or what the environment says cannot be used.
        ValueError: it is no URL of a bucket.
    """

    def __init__(self, url: str) -> None:
        self._bucket = parse_url(url)
        self.client = BucketClient(self._bucket)
        self.pages = 0
        self._root: str | None = None
        self._directories: dict[str, Nodes] = {}
        self._pieces: OrderedDict[tuple[StoredObject, int, int], bytes] = OrderedDict()

    def refresh(self, root: str, on_page: Callable[[], None] = lambda: None) -> None:
        """List everything below a URL in one flat listing; the one before is valid until then.

        Raises:
            OSError: it cannot be listed; the listing before stays.
        """
        prefix = parse_url(root).key
        directories: dict[str, Nodes] = {root: {}}
        seen = 0
        self.pages += 1
        for page in self.client.pages(prefix):
            self.pages += 1 if seen else 0
            seen += len(page)
            on_page()
            for found in page:
                if is_plain_key(found.key):  # obstore refuses others; nothing may leave a root
                    _add(directories, root, found, self._bucket.root)
        self._root, self._directories = root, directories

    @property
    def is_empty(self) -> bool:
        """Whether the last flat listing found nothing."""
        return self._root is not None and not self._directories[self._root]

    def scandir(self, path: str) -> list[Entry]:
        """List a directory."""
        return [
            Entry(name, is_dir=node is None, is_file=node is not None, is_symlink=False)
            for name, node in self._nodes(path).items()
        ]

    def stat(self, path: str) -> Stat:
        """Look at one object or directory."""
        if path.rstrip("/") in (self._bucket.root, self._root):
            return _DIRECTORY
        node = self._node(path)
        if node is None:
            return _DIRECTORY
        return Stat(0, 0, node.size, node.mtime_ns, 0, is_dir=False, is_file=True, tag=node.tag)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        """Read a piece of the object that was listed."""
        stored = self.object_at(path)
        key = (stored, offset, size)
        if key in self._pieces:
            self._pieces.move_to_end(key)
            return self._pieces[key]
        piece = self.client.read(stored, offset, size)
        if size <= 1 << 16:
            self._pieces[key] = piece
            while len(self._pieces) > _MOST_PIECES:
                self._pieces.popitem(last=False)
        return piece

    def object_at(self, path: str) -> StoredObject:
        """Return the object at a path.

        Raises:
            FileNotFoundError: there is none.
            OSError: it is a directory, or cannot be listed.
        """
        node = self._node(path)
        if node is None:
            raise OSError(errno.EINVAL, "Not a regular file", path)
        return node

    def key_of(self, path: str) -> str:
        """Return the key of a path in this bucket."""
        return path[len(self._bucket.root) :].strip("/")

    def _node(self, path: str) -> StoredObject | None:
        directory, name = os.path.split(path)
        nodes = self._nodes(directory)
        if name not in nodes:
            raise FileNotFoundError(errno.ENOENT, "There is no such object", path)
        return nodes[name]

    def _nodes(self, path: str) -> Nodes:
        path = path.rstrip("/")
        if path in self._directories:
            return self._directories[path]
        if not f"{path}/".startswith(f"{self._bucket.root}/"):
            raise FileNotFoundError(errno.ENOENT, "There is no such directory", path)
        if self._root is not None and f"{path}/".startswith(f"{self._root}/"):
            raise FileNotFoundError(errno.ENOENT, "There is no such directory", path)
        prefixes, objects = self.client.list_directory(self.key_of(path))
        self.pages += 1
        nodes: Nodes = {os.path.basename(o.key): o for o in objects if is_plain_key(o.key)}
        for prefix in prefixes:
            name = os.path.basename(prefix.rstrip("/"))
            if name not in ("", ".", ".."):
                nodes[name] = None
        if not nodes and path != self._bucket.root:
            raise FileNotFoundError(errno.ENOENT, "There is no such directory", path)
        self._directories[path] = nodes
        return nodes


def why_not_listed(url: str) -> str:
    """Return why a bucket cannot be listed, as a sentence; empty if it can."""
    try:
        storage = BucketStorage(url)
        next(storage.client.pages(parse_url(url).key), None)
    except OSError as error:
        return f"{url} cannot be listed: {error.strerror or error}."
    return ""


def blocks_of(url: str) -> Callable[[str], Iterator[bytes]]:
    """Return what reads whole objects of a bucket, piece by piece.

    Each is read as it was listed first, or not at all.

    Args:
        url: names the bucket.

    Raises:
        OSError: the bucket cannot be used.
    """
    storage = BucketStorage(url)
    return lambda path: storage.client.stream(storage.object_at(path))


def _add(directories: dict[str, Nodes], root: str, stored: StoredObject, bucket: str) -> None:
    """Put one object, and the directories above it, into the tree below a root."""
    path = f"{bucket}/{stored.key}"
    if not path.startswith(f"{root}/"):
        return  # the marker of the root itself
    directory, name = os.path.split(path)
    nodes = _directory(directories, directory)
    if nodes.get(name, stored) is not None:  # a marker has the name of its directory
        nodes[name] = stored


def _directory(directories: dict[str, Nodes], path: str) -> Nodes:
    nodes = directories.get(path)
    if nodes is None:
        nodes = directories[path] = {}
        above, name = os.path.split(path)
        _directory(directories, above)[name] = None
    return nodes
