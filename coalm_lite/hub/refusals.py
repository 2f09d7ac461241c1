"""What the Hub's refusals and a failing network mean for the user: which error, and the way out.

Answers are read by status and by the Hub's own `X-Error-Code`, so that it does not matter which library asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from coalm_lite.errors import HubError, UsageError

Origin = tuple[str, str | None, int | None]
DEFAULT_ENDPOINT = "https://huggingface.co"
_OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_EMBEDDED_HINT = "`coalm-lite chat nano` needs no network: that model is part of coalm-lite."


class TemporaryError(HubError):
    """A failure that may pass by itself; `retry_after_s` is how long the server asks to wait, if it does."""

    def __init__(self, message: str, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class UnreachableError(TemporaryError):
    """No answer came, or it broke off."""


def endpoint() -> str:
    """The Hub's address, without a slash at its end: HF_ENDPOINT or the public one."""
    address = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    try:
        scheme, host, _ = origin(address)
    except ValueError:  # of the port
        scheme, host = "", ""
    if scheme not in ("http", "https") or not host:
        raise UsageError(f"HF_ENDPOINT is {address!r}, which is no http or https address")
    return address


def origin(url: str) -> Origin:
    """Scheme, host and port of an address; ValueError when it is none."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def offline_reason() -> str:
    """The setting in the environment that forbids the network; empty when none does."""
    forbidding = (name for name in _OFFLINE_VARIABLES if os.environ.get(name, "").upper() in _TRUE)
    return next((f"{name}={os.environ[name]}" for name in forbidding), "")


def offline(wanted: str, reason: str) -> HubError:
    """The error for `wanted`, which only the Hub has, while `reason` forbids to ask it."""
    hint = f"Without {reason}, coalm-lite asks {endpoint()}. {_EMBEDDED_HINT}"
    return HubError(f"{wanted} is not on this machine, and {reason} forbids to ask the Hub", hint)


def unreachable(error: BaseException, url: str) -> UnreachableError:
    """The error for an address from which no whole answer came."""
    proxy = proxy_of(url)
    way = f" through the proxy {proxy}" if proxy else ""
    hint = f"Check the network{', the proxy' if proxy else ''} and HF_ENDPOINT, then run it again. {_EMBEDDED_HINT}"
    return UnreachableError(f"no answer from {_origin_text(url)}{way}: {innermost(error)}", hint)


def no_hub(url: str, what: str) -> HubError:
    """The error for an address that answers, but not as a Hub does."""
    hint = "Check HF_ENDPOINT, and whether a proxy or a login page of this network answers in its place."
    return HubError(f"{_origin_text(url)} does not answer as a Hub: {what}", hint)


def refused(status: int, headers: Mapping[str, str], repository: str, wanted: str) -> HubError:
    """The error for an answer of the Hub with an error's status.

    `wanted` is the file or the repository as messages name it.
    """
    if status in (408, 425, 429) or status >= 500:
        return _temporary(status, headers)
    known = _BY_CODE.get(headers.get("X-Error-Code", ""))
    if known:
        return known(status, repository, wanted)
    if status == 401 and "credentials" in headers.get("X-Error-Message", ""):
        return HubError("the Hub does not know this token", "Run `hf auth login`, or mend or unset HF_TOKEN.")
    if status == 401:
        return _no_repository(status, repository, wanted)
    if status == 407:
        return HubError("the proxy asks for a name and a password", "Put them into HTTPS_PROXY, as its owner says.")
    reason = plain(headers.get("X-Error-Message", "")) or "no reason was given"
    return HubError(f"{wanted}: the Hub refuses with status {status}: {reason}")


def _gated(status: int, repository: str, _wanted: str) -> HubError:
    page = f"{endpoint()}/{repository}"
    if status == 401:
        hint = f"Accept them at {page}, then run `hf auth login` or set HF_TOKEN to a token of that account."
        return HubError(f"{repository} is gated: it needs a token of an account that accepted its conditions", hint)
    hint = f"Ask for access at {page}; the token also needs the right to read gated repositories."
    return HubError(f"{repository} is gated, and the account of this token has no access to it", hint)


def _no_repository(_status: int, repository: str, _wanted: str) -> HubError:
    hint = "Check the spelling; for a private one run `hf auth login` or set HF_TOKEN."
    return HubError(f"the Hub shows no repository {repository}: it is private or misspelled", hint)


def _no_file(_status: int, repository: str, wanted: str) -> HubError:
    return HubError(f"{wanted}: there is no such file", f"See {endpoint()}/{repository}/tree/main for what there is.")


def _no_revision(_status: int, repository: str, wanted: str) -> HubError:
    return HubError(f"{wanted}: there is no such revision", f"See {endpoint()}/{repository}/commits/main.")


_BY_CODE: Mapping[str, Callable[[int, str, str], HubError]] = {
    "GatedRepo": _gated,
    "RepoNotFound": _no_repository,
    "EntryNotFound": _no_file,
    "RevisionNotFound": _no_revision,
}


def _temporary(status: int, headers: Mapping[str, str]) -> TemporaryError:
    if status == 429:
        hint = "Wait some minutes and run it again; with a token (`hf auth login`) the Hub allows more."
        return TemporaryError("the Hub asks to slow down (status 429)", hint, retry_after_s(headers))
    hint = "Run it again later; https://status.huggingface.co tells of known faults."
    return TemporaryError(f"the Hub is in trouble (status {status})", hint, retry_after_s(headers))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The wait that a server asks for, in either of the header's two forms; None when it names none."""
    told = headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdigit():
        return float(told[:9])
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):  # no date, or one without its zone
        return None


def proxy_of(url: str) -> str:
    """Host and port of the proxy that the environment sets for an address, never its password; empty when none."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(parts.hostname or ""):
        return ""
    return proxy.rpartition("@")[2].rpartition("//")[2].rstrip("/")


def _origin_text(url: str) -> str:
    """Scheme, host and port of an address: its path and query may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def innermost(error: BaseException) -> str:
    """What the first of a chain of errors says: the libraries above it add only their own names."""
    said = plain(str(error))
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        said = plain(str(link)) or said
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return said or type(error).__name__


def plain(text: str) -> str:
    """A server's or a library's words, on one line and not too long."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:300]
