"""Files on loopback by a real HTTP server that knows ranges and misbehaves on command."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class DataServer:
    """What a test holds of it. The faults are used up one a request: statuses to answer with, bytes after which the
    connection is cut, or stalls until `released`. `requests` are (path, Range header)."""

    files: dict[str, bytes]
    address: str = ""
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    stalls: list[int] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def data_server(files: dict[str, bytes]) -> Iterator[DataServer]:
    """A server of these files, by path."""
    held = DataServer(files)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            held.requests.append((self.path, asked))
            content = held.files.get(self.path.lstrip("/"))
            if held.statuses or content is None:
                self.send_error(held.statuses.pop(0) if held.statuses else 404)
                return
            first = int(match[1]) if held.ranges and (match := re.fullmatch(r"bytes=(\d+)-", asked)) else 0
            if first and first >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(content) - first))
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if held.stalls:
                self.wfile.write(content[first:][: held.stalls.pop(0)])
                self.wfile.flush()
                held.released.wait(30)
                return
            self.wfile.write(content[first:][: held.cuts.pop(0) if held.cuts else None])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
