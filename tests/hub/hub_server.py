"""A hub on loopback: a real HTTP server that speaks the Hugging Face Hub's protocol and misbehaves on command.

Covered: model info, tree, resolve (HEAD and GET, by branch and by commit) with the Hub's headers and error codes, a
redirect of large files to a "CDN" on a second port with ETags of its own, ranges, gated and private repositories, a
commit for every change. Not covered: uploads, paging, Xet's own transfer protocol, TLS.

    with hub_server({"owner/repo/model.gguf": b"..."}) as hub:   # or a Path, which is never read as a whole
        hub.endpoint; hub.faults.cut_after.append(1000); hub.requests

As a program: python -m tests.hub.hub_server --root FOLDER   (FOLDER/owner/repo/any/path)
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import re
import socket
import socketserver
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.hub.hub_content import BLOCK_BYTES, Stored, repositories_of, split
from tests.hub.hub_faults import Faults, Place, Refusal, Request

__all__ = ["OTHER_TOKEN", "TOKEN", "Faults", "Hub", "Place", "Refusal", "Request", "hub_server"]

TOKEN = "hf_of-one-with-access"
OTHER_TOKEN = "hf_of-one-without-access"


class Hub:
    """What a test holds of the running server."""

    def __init__(self, files: Mapping[str, Path | bytes], licenses: Mapping[str, str]) -> None:
        self.faults = Faults()
        self.requests: list[Request] = []
        self.repositories = repositories_of(files, licenses)
        self.lock = threading.Lock()
        self.callers: set[tuple[str, int]] = set()
        self.released = threading.Event()
        self._servers = tuple(_Server(("127.0.0.1", 0), handler) for handler in (_HubHandler, _CdnHandler))
        for server in self._servers:
            server.hub = self

    @property
    def endpoint(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def cdn(self) -> str:
        """The address of the second server."""
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def commit_of(self, repository: str) -> str:
        """The newest commit."""
        return next(reversed(self.repositories[repository].commits))

    def hash_of(self, key: str) -> str:
        """The newest version's hash: sha256 of a large file, git's blob hash of another."""
        repository, path = split(key)
        return self.repositories[repository].commits[self.commit_of(repository)][path].hash

    def replace(self, key: str, source: Path | bytes) -> None:
        """Change a file (or add it): a new commit, the old one stays reachable."""
        repository, path = split(key)
        kept = self.repositories[repository]
        kept.commit({**kept.commits[self.commit_of(repository)], path: Stored(path, source)})

    def body_bytes_sent(self) -> int:
        """The bytes of files, of all versions, that went out so far."""
        return sum(request.bytes_sent for request in self.requests if request.where != "api")

    def connections(self) -> int:
        """How many connections have had a request since `callers` was cleared."""
        return len(self.callers)

    def take(self, faults: list[int]) -> int | None:
        """The next entry of a list of faults."""
        with self.lock:
            return faults.pop(0) if faults else None

    def take_refusal(self, where: Place) -> Refusal | None:
        """The next refusal for this place."""
        with self.lock:
            mine = next((refusal for refusal in self.faults.refusals if refusal.where == where), None)
            if mine:
                self.faults.refusals.remove(mine)
            return mine

    def serve(self) -> None:
        """Answer in threads of its own until `close`."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self.released.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a stalled answer must not hold up the end
    request_queue_size = 64
    hub: Hub

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as socketserver calls it


class _Handler(BaseHTTPRequestHandler, ABC):
    """What both servers share: the record, refusals, and bodies with their faults."""

    protocol_version = "HTTP/1.1"
    where: Place = "cdn"
    record: Request

    @property
    def hub(self) -> Hub:
        server: socketserver.BaseServer = self.server
        assert isinstance(server, _Server)
        return server.hub

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the record is `Hub.requests`."""

    def do_HEAD(self) -> None:
        self._take()

    def do_GET(self) -> None:
        self._take()

    def _take(self) -> None:
        had_token = "Authorization" in self.headers
        self.where = self.place()
        self.record = Request(self.command, self.path, self.headers.get("Range", ""), had_token, self.where)
        self.hub.requests.append(self.record)
        self.hub.callers.add(self.client_address)
        refusal = self.hub.take_refusal(self.where)
        if refusal:
            self.say(refusal.status, dict(refusal.headers), b"refused on command")
        else:
            self.answer()

    @abstractmethod
    def place(self) -> Place:
        """Which of the hub's sides was asked."""

    @abstractmethod
    def answer(self) -> None:
        """Answer a request that no fault refused."""

    def say(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """A short answer."""
        self.begin(status, {**headers, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def say_error(self, status: int, code: str, message: str) -> None:
        self.say(status, {"X-Error-Code": code, "X-Error-Message": message}, message.encode())

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.record.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_file(self, stored: Stored, headers: Mapping[str, str]) -> None:
        """The file or the range of it that was asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        told = stored.size + self.hub.faults.told_extra_bytes
        start, stop, status = 0, stored.size, 200
        if asked and not self.hub.faults.ignore_ranges:
            start = int(asked[1]) + self.hub.faults.shift_ranges
            stop = min(stop, int(asked[2]) + 1) if asked[2] else stop
            if start >= stored.size:
                self.say(416, {"Content-Range": f"bytes */{told}"})
                return
            status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{told}"}
        self.begin(status, {**headers, "Content-Length": str(stop - start), "Accept-Ranges": "bytes"})
        if self.command != "HEAD":
            self._send_body(stored, start, stop)

    def _send_body(self, stored: Stored, start: int, stop: int) -> None:
        faults, hub = self.hub.faults, self.hub
        cut, flip, stall = (hub.take(entries) for entries in (faults.cut_after, faults.flip, faults.stall_after))
        limit = min((place for place in (cut, stall) if place is not None), default=stop - start)
        end = min(stop, start + limit)
        try:
            if flip is None and not faults.bytes_per_s and isinstance(stored.source, Path):
                self._send_quickly(stored.source, start, end)
            else:
                self._send_blocks(stored, start, end, flip)
            if stall is not None:
                hub.released.wait()
        finally:
            if end < stop:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

    def _send_quickly(self, path: Path, start: int, end: int) -> None:
        with path.open("rb") as file:
            for at in range(start, end, 64 * BLOCK_BYTES):
                self._counted(min(64 * BLOCK_BYTES, end - at), functools.partial(self.connection.sendfile, file, at))

    def _write(self, block: bytearray, count: int) -> int:
        self.wfile.write(block)
        return count

    def _counted(self, count: int, send: Callable[[int], int]) -> None:
        """Send so many bytes, recorded first: the client may ask for the record as soon as it has them."""
        self.record.bytes_sent += count
        sent = 0
        try:
            sent = send(count)
        finally:
            self.record.bytes_sent += sent - count

    def _send_blocks(self, stored: Stored, start: int, end: int, flip: int | None) -> None:
        at = start
        for read in stored.blocks(start, end):
            block = bytearray(read)
            if flip is not None and at <= flip < at + len(block):
                block[flip - at] ^= 0xFF
            self._counted(len(block), functools.partial(self._write, block))
            at += len(block)
            if self.hub.faults.bytes_per_s and self.hub.released.wait(len(block) / self.hub.faults.bytes_per_s):
                return


class _HubHandler(_Handler):
    """The endpoint: metadata, small files and redirects."""

    def place(self) -> Place:
        return "api" if self.path.startswith("/api/") else "resolve"

    def answer(self) -> None:
        url = urlsplit(self.path)
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+)(?:/.*)?)?", url.path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", url.path)
        if api and (found := self.find(api[1], unquote(api[3] or "main"))):
            self.say_json(self.tree(found[1]) if api[2] == "tree" else self.info(api[1], *found, url.query))
        elif file and (found := self.find(file[1], unquote(file[2]))):
            self.resolve(file[1], *found, unquote(file[3]))
        elif not (api or file):
            self.say(404, {}, b"no such address")

    def find(self, name: str, revision: str) -> tuple[str, dict[str, Stored]] | None:
        """The commit and its files; None when the refusal is already sent."""
        repository = self.hub.repositories.get(name)
        authorization = self.headers.get("Authorization")
        allowed = authorization == f"Bearer {TOKEN}"
        if authorization not in (None, f"Bearer {TOKEN}", f"Bearer {OTHER_TOKEN}"):
            self.say(401, {"X-Error-Message": "Invalid credentials in Authorization header"}, b"")
            return None
        if repository is None or (repository.private and not allowed):
            status = 404 if allowed else 401  # as the Hub: who may not see it is not told whether it exists
            self.say_error(status, "RepoNotFound", "Repository not found")
            return None
        found = repository.find(revision, self.hub.faults.forget_history)
        if found is None:
            self.say_error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif self.where == "resolve" and repository.gated and not allowed:
            status = 403 if self.record.had_token else 401
            self.say_error(status, "GatedRepo", f"Access to model {name} is restricted.")
            return None
        return found

    def say_json(self, value: object) -> None:
        self.say(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def info(self, name: str, commit: str, files: dict[str, Stored], query: str) -> object:
        repository = self.hub.repositories[name]
        siblings: list[dict[str, object]] = [{"rfilename": path} for path in (*files, *self.hub.faults.listed_names)]
        if "blobs" in parse_qs(query):
            for sibling, stored in zip(siblings, files.values(), strict=False):
                sibling |= {"size": stored.size, "blobId": stored.hash[:40]}
        tags = ["gguf", *([f"license:{repository.license}"] if repository.license else [])]
        return {
            "_id": "0" * 24,
            "id": name,
            "modelId": name,
            "sha": self.hub.faults.commit or commit,
            "private": repository.private,
            "gated": "manual" if repository.gated else False,
            "disabled": False,
            "downloads": 1,
            "likes": 0,
            "tags": tags,
            "cardData": {"license": repository.license} if repository.license else {},
            "siblings": siblings,
        }

    def tree(self, files: dict[str, Stored]) -> object:
        listed: list[dict[str, object]] = []
        for path, stored in files.items():
            lfs = {"lfs": {"oid": stored.hash, "size": stored.size, "pointerSize": 134}} if stored.is_large else {}
            listed.append({"type": "file", "oid": stored.hash[:40], "size": stored.size, "path": path, **lfs})
        names = self.hub.faults.listed_names
        return [*listed, *({"type": "file", "oid": "0" * 40, "size": 1, "path": name} for name in names)]

    def resolve(self, name: str, commit: str, files: dict[str, Stored], path: str) -> None:
        stored, faults = files.get(path), self.hub.faults
        headers = {"X-Repo-Commit": faults.commit or commit}
        if stored is None:
            self.begin(404, {**headers, "X-Error-Code": "EntryNotFound", "Content-Length": "0"})
            return
        etag = f'"{faults.etag or stored.hash}"'
        if not stored.is_large:
            self.send_file(stored, {**headers, "ETag": etag})
            return
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(stored.size + faults.told_extra_bytes)}
        signed = f"{self.hub.cdn}/{quote(name)}/{commit}/{quote(path)}?Signature={next(_SIGNATURES)}"
        self.say(302, {**headers, "ETag": etag, "Location": signed, "Vary": "Origin, Accept"})


class _CdnHandler(_Handler):
    """The storage: bytes and ranges, with ETags that say nothing of the content's hash."""

    def place(self) -> Place:
        return "cdn"

    def answer(self) -> None:
        owner, name, commit, path = unquote(urlsplit(self.path).path).lstrip("/").split("/", 3)
        found = self.hub.repositories[f"{owner}/{name}"].find(commit, self.hub.faults.forget_history)
        if found is None or "Signature=" not in self.path:
            self.say(403, {}, b"bad signature")
        else:
            stored = found[1][path]
            self.send_file(stored, {"ETag": f'"{stored.hash[:8]}-cdn"', "Content-Type": "binary/octet-stream"})


_SIGNATURES = itertools.count(1)


@contextlib.contextmanager
def hub_server(files: Mapping[str, Path | bytes], licenses: Mapping[str, str] | None = None) -> Iterator[Hub]:
    """A running hub with these files ("owner/repo/path") and licences ("owner/repo")."""
    hub = Hub(files, licenses or {})
    hub.serve()
    try:
        yield hub
    finally:
        hub.close()


def main() -> None:
    """Serve a folder's files until interrupted; the first line on standard output is the endpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    wanted = parser.parse_args()
    found = {path.relative_to(wanted.root).as_posix(): path for path in wanted.root.glob("*/*/**/*") if path.is_file()}
    with hub_server(found) as hub, contextlib.suppress(KeyboardInterrupt):
        print(hub.endpoint, flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
