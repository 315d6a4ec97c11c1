"""Google Cloud Storage as far as TensorFlow and obstore ask for it: objects in memory, one bucket.

`python gcs.py CERT KEY PORT` serves TensorFlow's JSON API on 443 (TLS), where it reaches it as
www.googleapis.com, and what obstore reads on PORT. Only for a network namespace of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse
from xml.sax.saxutils import escape

BUCKET = "ckpts"


@dataclass(frozen=True)
class Stored:
    """One object."""

    data: bytes
    generation: int
    at: float
    marks: dict[str, str] = field(default_factory=dict)
    parts: int = 1

    @property
    def etag(self) -> str:
        """The MD5, as the XML API has it; of what came in parts something that is none."""
        text = hashlib.md5(self.data, usedforsecurity=False).hexdigest()
        return f'"{text}"' if self.parts == 1 else f'"{text[::-1]}"'


OBJECTS: dict[str, Stored] = {}
PARTS: dict[str, dict[int, bytes]] = {}
MARKS: dict[str, dict[str, str]] = {}
SESSIONS: dict[str, str] = {}
COUNT = itertools.count(1)


def store(name: str, data: bytes) -> None:
    """Write one object; another generation if it was there."""
    OBJECTS[name] = Stored(data, next(COUNT), time.time())


def _facts(name: str) -> dict[str, str]:
    found = OBJECTS[name]
    at = datetime.fromtimestamp(found.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    generation = str(found.generation)
    return {"name": name, "size": str(len(found.data)), "generation": generation, "updated": at}


class Handler(BaseHTTPRequestHandler):
    """Both APIs."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def _answer(self, code: int, body: bytes | dict[str, Any] = b"", **headers: str) -> None:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _marks(self) -> dict[str, str]:
        names = [name for name in self.headers if name.lower().startswith("x-goog-meta-")]
        return {name: self.headers[name] for name in names}

    def _name(self) -> str:
        return unquote(urlparse(self.path).path).removeprefix(f"/{BUCKET}/")

    def _post_parts(self, query: dict[str, list[str]]) -> None:
        """Begin an upload in parts, or make an object of them."""
        name = self._name()
        if "uploadId" not in query:
            number = str(next(COUNT))
            PARTS[number], MARKS[number] = {}, self._marks()
            body = (
                f"<UploadId>{number}</UploadId><Key>{escape(name)}</Key><Bucket>{BUCKET}</Bucket>"
            )
            text = f"<InitiateMultipartUploadResult>{body}</InitiateMultipartUploadResult>"
            self._answer(200, text.encode())
            return
        number = query["uploadId"][0]
        parts = [PARTS[number][index] for index in sorted(PARTS[number])]
        made = Stored(b"".join(parts), next(COUNT), time.time(), MARKS[number], len(parts))
        OBJECTS[name] = made
        text = f"<ETag>{escape(made.etag)}</ETag>"
        body = f"<CompleteMultipartUploadResult>{text}</CompleteMultipartUploadResult>"
        self._answer(200, body.encode(), x_goog_generation=str(made.generation))

    def _put_object(self, query: dict[str, list[str]], data: bytes) -> None:
        """Take an object under a condition, or a part of one."""
        name = self._name()
        if "uploadId" in query:
            PARTS[query["uploadId"][0]][int(query["partNumber"][0])] = data
            self._answer(200, ETag=f'"{len(data)}"')
            return
        there = OBJECTS[name].generation if name in OBJECTS else 0
        if int(self.headers.get("x-goog-if-generation-match", there)) != there:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        made = OBJECTS[name] = Stored(data, next(COUNT), time.time(), self._marks())
        self._answer(200, ETag=made.etag, x_goog_generation=str(made.generation))

    def do_POST(self) -> None:
        """Begin an upload, or copy an object."""
        url = urlparse(self.path)
        self._body()
        query = parse_qs(url.query, keep_blank_values=True)
        if url.path.startswith(f"/{BUCKET}/"):
            self._post_parts(query)
            return
        if url.path.startswith("/upload/"):
            number = str(next(COUNT))
            SESSIONS[number] = parse_qs(url.query)["name"][0]
            place = f"https://www.googleapis.com/upload/session?id={number}"
            self._answer(200, {}, Location=place)
            return
        for verb in ("/rewriteTo/", "/copyTo/"):
            if verb in url.path:
                source, target = (unquote(p.split("/o/", 1)[1]) for p in url.path.split(verb))
                store(target, OBJECTS[source].data)
                self._answer(200, {"done": True, "resource": _facts(target)})
                return
        self._answer(404, {})

    def do_PUT(self) -> None:
        """Take the content of an upload."""
        if self.path.startswith(f"/{BUCKET}/"):
            self._put_object(parse_qs(urlparse(self.path).query), self._body())
            return
        name = SESSIONS[parse_qs(urlparse(self.path).query)["id"][0]]
        store(name, self._body())
        self._answer(200, _facts(name))

    def do_DELETE(self) -> None:
        """Delete an object, under a condition if there is one."""
        url = urlparse(self.path)
        name = unquote(url.path.split("/o/", 1)[1])
        wanted = parse_qs(url.query).get("ifGenerationMatch")
        if name not in OBJECTS:
            self._answer(404)
        elif wanted and int(wanted[0]) != OBJECTS[name].generation:
            self._answer(412)
        else:
            del OBJECTS[name]
            self._answer(204)

    def do_GET(self) -> None:
        """List, look or read."""
        url = urlparse(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        json_api = f"/storage/v1/b/{BUCKET}"
        if url.path.startswith(f"{json_api}/o/"):
            name = unquote(url.path.split("/o/", 1)[1])
            self._answer(*((200, _facts(name)) if name in OBJECTS else (404, {})))
        elif url.path == f"{json_api}/o":
            names, prefixes = _listed(query.get("prefix", ""), query.get("delimiter", ""))
            items = [_facts(name) for name in names]
            self._answer(200, {"items": items, "prefixes": prefixes})
        elif url.path.startswith(json_api):
            self._answer(200, {"name": BUCKET, "location": "US"})
        elif "list-type" in query:
            self._answer(200, _xml(query))
        else:
            self._read(unquote(url.path).removeprefix(f"/{BUCKET}/"))

    do_HEAD = do_GET  # noqa: N815 - the name that the base class asks for

    def _read(self, name: str) -> None:
        found = OBJECTS.get(name)
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        if self.headers.get("If-Match", found.etag) != found.etag:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        data, code, more = found.data, 200, {}
        if wanted := self.headers.get("Range"):
            first, last = wanted.removeprefix("bytes=").split("-")
            end = int(last) + 1 if last else len(data)
            code, part = 206, data[int(first) : end]
            more["Content_Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
            if not part:
                code = 416
            data = part
        modified = formatdate(found.at, usegmt=True)
        more |= {"x_goog_generation": str(found.generation), **found.marks}
        self._answer(code, data, ETag=found.etag, Last_Modified=modified, **more)


def _listed(prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    names, prefixes = [], {}
    for name in sorted(OBJECTS):
        rest = name[len(prefix) :]
        if name.startswith(prefix) and delimiter and delimiter in rest:
            prefixes[prefix + rest.split(delimiter)[0] + delimiter] = None
        elif name.startswith(prefix):
            names.append(name)
    return names, list(prefixes)


def _xml(query: dict[str, str]) -> bytes:
    names, prefixes = _listed(query.get("prefix", ""), query.get("delimiter", ""))
    contents = "".join(
        f"<Contents><Key>{escape(name)}</Key><Size>{len(OBJECTS[name].data)}</Size>"
        f"<LastModified>{_facts(name)['updated']}</LastModified>"
        f"<ETag>{escape(OBJECTS[name].etag)}</ETag></Contents>"
        for name in names
    )
    common = "".join(
        f"<CommonPrefixes><Prefix>{escape(p)}</Prefix></CommonPrefixes>" for p in prefixes
    )
    return f"<ListBucketResult>{contents}{common}</ListBucketResult>".encode()


def main(certificate: str, key: str, port: str) -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secure = ThreadingHTTPServer(("127.0.0.1", 443), Handler)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    threading.Thread(target=secure.serve_forever, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
