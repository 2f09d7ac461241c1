"""The key that a model's server asks for: from the environment alone, so that no command line, log or file has it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from coalm_lite.errors import UsageError

if TYPE_CHECKING:
    from requests import PreparedRequest

OWN_VARIABLE = "COALM_LITE_API_KEY"
COMMON_VARIABLE = "OPENAI_API_KEY"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Key:
    """A key and the variable that it came from. Its text is shown by nothing but `__call__`, which sends it."""

    def __init__(self, secret: str, variable: str) -> None:
        """`secret` may be empty: then no key is sent. UsageError where it cannot stand in a header."""
        if any(not " " < letter <= "~" for letter in secret):
            raise UsageError(f"{variable} has a character that no key has", "Set it without blanks and line breaks.")
        self._secret = secret
        self.variable = variable

    @property
    def is_there(self) -> bool:
        """Whether there is one to send. Not `__bool__`: requests would take a false one for no `auth` at all."""
        return bool(self._secret)

    def __repr__(self) -> str:
        return f"Key(of {self.variable})" if self._secret else "Key(none)"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add it to a request, as requests calls an `auth`; with an empty one too, or a .netrc would step in."""
        if self._secret:
            request.headers["Authorization"] = f"Bearer {self._secret}"
        return request

    def hidden(self, text: str) -> str:
        """`text`, of a server perhaps, without the key."""
        return text.replace(self._secret, "***") if self._secret else text


def key_for(address: str) -> Key:
    """The key for a server: COALM_LITE_API_KEY, else OPENAI_API_KEY.

    The second is likely of another service, so it goes only where nobody listens: over https, or on this machine.
    """
    own = os.environ.get(OWN_VARIABLE, "").strip()
    if own:
        return Key(own, OWN_VARIABLE)
    parts = urlsplit(address)
    safe = parts.scheme == "https" or parts.hostname in _LOOPBACK
    return Key(os.environ.get(COMMON_VARIABLE, "").strip() if safe else "", COMMON_VARIABLE)
