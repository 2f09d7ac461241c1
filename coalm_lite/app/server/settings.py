"""What a server is told when it starts: who may ask, and how much."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

DEFAULT_PORT = 8080
DEFAULT_PARALLEL = 4
DEFAULT_QUEUE = 32
DEFAULT_MAX_TOKENS = 1024
DEFAULT_TIMEOUT_S = 600.0
MOST_BODY_BYTES = 8 << 20
BODY_S = 30.0
HEAD_S = 15.0
GRACE_S = 10.0
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may ask. `key` is never shown; `hosts` and `origins` are those allowed besides this machine's own."""

    key: str = field(repr=False)
    host: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be asked: answers at once, requests behind them, tokens an answer, seconds and bytes a request."""

    parallel: int = DEFAULT_PARALLEL
    queue: int = DEFAULT_QUEUE
    max_tokens: int = DEFAULT_MAX_TOKENS
    timeout_s: float = DEFAULT_TIMEOUT_S
    body_bytes: int = MOST_BODY_BYTES
    body_s: float = BODY_S
    head_s: float = HEAD_S
    grace_s: float = GRACE_S


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to `host`."""
    address = ip_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host's name is, without brackets; None for other names."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
