"""A file's bytes from the Hub, from any offset: redirects, the token, ranges, and what the answer promises.

The token goes to the endpoint alone, never to where it redirects: a large file's address at the storage is signed
already. Proxies come from the environment. One request gives one `Body`; trying again is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from coalm_lite.errors import HubError
from coalm_lite.hub.library import file_url, read_timeout_s, token_header
from coalm_lite.hub.refusals import TemporaryError, endpoint, no_hub, origin, refused, unreachable
from coalm_lite.hub.remote import RemoteFile

if TYPE_CHECKING:
    import requests

BLOCK_BYTES = 1 << 20
_MAX_REDIRECTS = 8
_SHORT_BYTES = 1 << 14
_REDIRECTS = (301, 302, 303, 307, 308)
_COUNT = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Body:
    """An answer's bytes, which begin at the file's byte `start`."""

    response: requests.Response
    start: int

    def blocks(self) -> Iterator[bytes]:
        """The bytes as they come, at most BLOCK_BYTES at a time; TemporaryError where they break off."""
        from urllib3.exceptions import HTTPError

        try:
            # read1 gives what is there: read would wait for a whole block and lose its beginning when they break off
            while block := self.response.raw.read1(BLOCK_BYTES, decode_content=False):
                yield block
        except (HTTPError, OSError) as error:
            raise unreachable(error, self.response.url) from error


@contextmanager
def open_body(
    remote: RemoteFile, first: int = 0, last: int | None = None, session: requests.Session | None = None
) -> Iterator[Body]:
    """The file's bytes from `first` on, to `last` included or to the end; a server may ignore either.

    With a `session` its connections are used again, for which a body must have been read to its end. Raises
    TemporaryError for what may pass, HubError for what will not: a refusal, or a file that is not `remote`.
    """
    import requests

    headers = {"Accept-Encoding": "identity"}
    if first or last is not None:
        headers["Range"] = f"bytes={first}-{'' if last is None else last}"
    opened = nullcontext(session) if session else requests.Session()
    with opened as used, _followed(used, remote, headers) as response:
        yield _body(response, remote)


@contextmanager
def _followed(session: requests.Session, remote: RemoteFile, headers: dict[str, str]) -> Iterator[requests.Response]:
    """The answer at the end of the redirects."""
    url, token = file_url(remote.repository, remote.path, remote.revision), token_header()
    home = origin(endpoint())
    for _ in range(_MAX_REDIRECTS):
        at_home = origin(url) == home
        with _get(session, url, headers, token if at_home else "") as response:
            if at_home:
                _check_same(response, remote)
            if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                _check_status(response, remote, at_home)
                yield response
                return
            url = _target(url, response.headers["Location"])
            _read_to_end(response)
    raise no_hub(endpoint(), f"more than {_MAX_REDIRECTS} redirects")


def _read_to_end(response: requests.Response) -> None:
    """Read a redirect's few bytes, so that its connection can be used again; a long or endless body is left."""
    from urllib3.exceptions import HTTPError

    told = response.headers.get("Content-Length", "")
    if _COUNT.fullmatch(told) and int(told) <= _SHORT_BYTES:
        with suppress(HTTPError, OSError):
            while response.raw.read1(_SHORT_BYTES, decode_content=False):
                pass


def _target(url: str, location: str) -> str:
    """Where a redirect leads."""
    try:
        target = urljoin(url, location)
        origin(target)
    except ValueError as error:
        raise no_hub(url, "it redirects to what is no address") from error
    return target


def _get(session: requests.Session, url: str, headers: dict[str, str], token: str) -> requests.Response:
    """The answer to one request; sent by the adapter, since a session reads a redirect's whole body into memory."""
    import requests
    from urllib3.exceptions import HTTPError

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token:
            request.headers["Authorization"] = token
        return request

    try:
        # with `auth` given, requests does not put a password from ~/.netrc in the token's place
        request = session.prepare_request(requests.Request("GET", url, headers=headers, auth=authorize))
        settings = session.merge_environment_settings(url, {}, stream=True, verify=None, cert=None)
        proxies, certificates = settings["proxies"], settings["verify"] or True
        adapter = session.get_adapter(url)
        return adapter.send(request, stream=True, timeout=read_timeout_s(), verify=certificates, proxies=proxies)
    except (requests.RequestException, HTTPError, OSError) as error:
        raise unreachable(error, url) from error


def _check_same(response: requests.Response, remote: RemoteFile) -> None:
    """Raise HubError when the endpoint now names another content than the metadata did.

    The storage's ETags are its own and say nothing of the content, so If-Range would not do; a mirror's own ETag, of
    another form than the hash, says nothing either.
    """
    final = response.status_code in (200, 206)
    told = response.headers.get("X-Linked-Etag") or (response.headers.get("ETag", "") if final else "")
    told = told.removeprefix("W/").strip('"')
    if len(told) == len(remote.etag) and told != remote.etag:
        hint = "Run it again: it starts anew with the file as it is now."
        raise HubError(f"{remote.place} changed on the Hub while it was fetched", hint)


def _check_status(response: requests.Response, remote: RemoteFile, at_home: bool) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status == 416:
        raise _other_size(remote, "less")
    if not at_home and 400 <= status < 500:  # a signed address ran out: the next try asks for a new one
        raise TemporaryError(f"the Hub's storage refuses with status {status}", "Run it again later.")
    raise refused(status, response.headers, remote.repository, remote.place)


def _body(response: requests.Response, remote: RemoteFile) -> Body:
    """The answer with what it promises; HubError when that is another size than the metadata's."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise no_hub(response.url, "it packs the bytes, which was not asked for")
    start, total = 0, response.headers.get("Content-Length", "")  # without it, the bytes are counted as they come
    if response.status_code == 206:
        told = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if told is None:
            raise no_hub(response.url, "it gives a part without saying which")
        start, total = int(told[1]), told[2]
    if _COUNT.fullmatch(total) and int(total) != remote.size_bytes:
        raise _other_size(remote, total)
    return Body(response, start)


def _other_size(remote: RemoteFile, told: str) -> HubError:
    hint = "Run it again later; if it stays so, tell the owner of the repository or of the mirror."
    return HubError(f"{remote.place}: the Hub named {remote.size_bytes} bytes, its storage has {told}", hint)
