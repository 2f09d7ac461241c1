"""Requests to a model's server: JSON there, JSON back, asked again while it is busy.

Covered: proxies and certificates as the environment sets them (requests' own rules), a bound on each answer's bytes and
time, Retry-After, many threads at once. A redirect is never followed: the key would go with it. Not covered: answers
that come in pieces (`stream`), and certificates of the client.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from coalm_lite import __version__
from coalm_lite.errors import ServerError, UsageError
from coalm_lite.hub.backoff import Waits
from coalm_lite.hub.refusals import innermost, plain, proxy_of, retry_after_s
from coalm_lite.runtime.remote_key import OWN_VARIABLE, Key, key_for
from coalm_lite.types import JsonObject

if TYPE_CHECKING:
    from requests import Response

CONNECT_S = 20.0
ANSWER_S = 600.0  # a long answer of a busy server; a retry begins it anew, so a short limit would never end
MOST_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 16
_BUSY = (408, 425, 429)
_NEVER_BETTER = (501, 505)


class RefusedError(ServerError):
    """The server answered with an error's status. `kind`: what it calls the error, "" where it does not say."""

    def __init__(self, message: str, hint: str, status: int, kind: str = "", words: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.kind = kind
        self.words = words


class BusyError(ServerError):
    """What may pass by itself; `retry_after_s` is how long the server asks to wait, if it does."""

    def __init__(self, message: str, hint: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class AbsentError(BusyError):
    """Nobody answers at all."""


def api_address(text: str) -> str:
    """The address under which a server's /completions lies: `/v1` is added to a bare host. UsageError for another."""
    parts = urlsplit(text)
    try:
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port
        whole = False
    if parts.username or parts.password:
        raise UsageError("the server's address holds a name or a password", f"Put the key into {OWN_VARIABLE}.")
    if not whole or parts.query or parts.fragment:
        raise UsageError(f"{text!r} is no server's address", "It looks like https://host/v1.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


class Transport:
    """A server under one address, asked from many threads. `tell` hears of each wait."""

    def __init__(
        self,
        address: str,
        *,
        connections: int = 8,
        answer_s: float = ANSWER_S,
        waits: Waits | None = None,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Asks nobody yet. UsageError for an address that is none."""
        from requests import Session
        from requests.adapters import HTTPAdapter

        self.address = api_address(address)
        self.key: Key = key_for(self.address)
        self._answer_s = answer_s
        self._waits = waits or Waits()
        self._tell = tell
        self._closed = threading.Event()
        self._answered = False
        self._session = Session()
        self._session.auth = self.key
        self._session.headers["User-Agent"] = f"coalm-lite/{__version__}"
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections))

    def get(self, path: str) -> JsonObject:
        """What the server answers to a GET below its address; `..` at the start: beside it."""
        return self._patiently(lambda: self._once("GET", path, None))

    def post(self, path: str, body: Mapping[str, object]) -> JsonObject:
        """What the server answers to a JSON object."""
        return self._patiently(lambda: self._once("POST", path, body))

    def close(self) -> None:
        """Stop: a wait that is under way ends at once, with its error. A second call does nothing."""
        self._closed.set()
        self._session.close()

    def _patiently(self, ask: Callable[[], JsonObject]) -> JsonObject:
        """What `ask` returns; asked again while the server is busy, once more only when nobody has ever been there."""
        for failures in range(1, self._waits.tries):
            try:
                return ask()
            except BusyError as error:
                absent = isinstance(error, AbsentError) and not self._answered and failures > 1
                if absent or self._closed.is_set():
                    raise
                pause_s = self._waits.pause_s(failures, error.retry_after_s)
                self._tell(f"{error.message}; again in {pause_s:.0f} s")
                if self._closed.wait(pause_s):
                    raise
        return ask()

    def _once(self, method: str, path: str, body: Mapping[str, object] | None) -> JsonObject:
        from requests import ConnectionError, RequestException, Timeout
        from requests.exceptions import SSLError
        from urllib3.exceptions import HTTPError

        started = time.monotonic()
        try:
            with self._session.request(
                method,
                self._url(path),
                json=body,
                timeout=(CONNECT_S, self._answer_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                self._answered = True
                return self._read(response, self._body(response, started))
        except SSLError as error:
            raise ServerError(f"{self.address} is not trusted: {plain(innermost(error))}", _TRUST_HINT) from error
        except HTTPError as error:  # while the body was read: by then requests leaves urllib3's own errors
            raise BusyError(f"an answer of {self.address} broke off: {plain(innermost(error))}", _LATER) from error
        except Timeout as error:
            raise BusyError(f"no answer from {self.address} within its time: {innermost(error)}", _SLOW) from error
        except ConnectionError as error:
            kind = AbsentError if _nobody(error) else BusyError
            raise kind(f"no answer from {self._way()}: {plain(innermost(error))}", _ABSENT) from error
        except RequestException as error:
            raise ServerError(f"{self.address} cannot be asked: {plain(innermost(error))}", _ABSENT) from error

    def _url(self, path: str) -> str:
        base = self.address.removesuffix("/v1") if path.startswith("../") else self.address
        return f"{base}/{path.removeprefix('../')}"

    def _way(self) -> str:
        proxy = proxy_of(self.address)
        return f"{self.address} through the proxy {proxy}" if proxy else self.address

    def _body(self, response: Response, started: float) -> bytes:
        """An answer's bytes, of which there may be only so many, in only so much time."""
        data = bytearray()
        while block := response.raw.read1(_BLOCK_BYTES, decode_content=True):  # what came, however little
            data += block
            if len(data) > MOST_BYTES:
                raise ServerError(f"an answer of {self.address} has more than {MOST_BYTES} bytes", _NO_SERVER)
            if time.monotonic() - started > self._answer_s:
                raise BusyError(f"an answer of {self.address} took more than {self._answer_s:g} s", _SLOW)
        return bytes(data)

    def _read(self, response: Response, data: bytes) -> JsonObject:
        if 300 <= response.status_code < 400:
            self._refuse_redirect(response)
        answer = _object(data)
        if response.status_code >= 400:
            raise self._refusal(response.status_code, response.headers, answer or {})
        if answer is None:
            shown = self.key.hidden(plain(data[:120].decode(errors="replace")))
            raise ServerError(f"{self.address} answers no JSON object, but {shown!r}", _NO_SERVER)
        return answer

    def _refuse_redirect(self, response: Response) -> None:
        target = plain(response.headers.get("Location", "")).partition("?")[0]
        raise ServerError(
            f"{self.address} sends on to {target or 'nowhere'!r} (status {response.status_code})",
            "Give the address it sends to, if it is the one you mean: coalm-lite sends no key where it is sent.",
        )

    def _refusal(self, status: int, headers: Mapping[str, str], answer: JsonObject) -> ServerError:
        told = answer.get("error", answer)
        fields = told if isinstance(told, dict) else {"message": told}
        words = self.key.hidden(plain(str(fields.get("message") or fields.get("detail") or "")))
        said = f": {words}" if words else ""
        if status in _BUSY or (status >= 500 and status not in _NEVER_BETTER):
            return BusyError(f"{self.address} is busy (status {status}){said}", _LATER, retry_after_s(headers))
        message = f"{self.address} refuses with status {status}{said}"
        hint = self._key_hint() if status in (401, 403) else ""
        return RefusedError(message, hint, status, plain(str(fields.get("type") or "")), words)

    def _key_hint(self) -> str:
        if self.key.is_there:
            return f"The key was the one of {self.key.variable}; set {OWN_VARIABLE} to one of this server."
        return f"It asks for a key, and none was sent: set {OWN_VARIABLE}."


_LATER = "Run the same command again later: it goes on where it stopped."
_SLOW = "Ask for fewer at once (--parallel), or run the same command again later: it goes on where it stopped."
_ABSENT = "Check the address, the network and the proxy, and whether the server is up."
_NO_SERVER = (
    "Give the address of an OpenAI-compatible server, as https://host/v1; a proxy's page may answer in its place."
)
_TRUST_HINT = "For a certificate of your own authority, set REQUESTS_CA_BUNDLE to its file."


def _object(data: bytes) -> JsonObject | None:
    """The JSON object in an answer; None when it is something else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _nobody(error: BaseException) -> bool:
    """Whether no connection came about at all, as against one that was cut."""
    from urllib3.exceptions import NameResolutionError, NewConnectionError

    link: BaseException | None = error
    while link is not None:
        if isinstance(link, NewConnectionError | NameResolutionError):
            return True
        reason = getattr(link, "reason", None)
        link = reason if isinstance(reason, BaseException) else link.__cause__ or link.__context__
    return False
