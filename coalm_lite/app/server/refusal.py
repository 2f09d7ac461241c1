"""Refusals: an error as HTTP status and OpenAI's error object, and which of ours becomes which."""

from __future__ import annotations

import logging

from coalm_lite.errors import (
    CoalmError,
    ContextFullError,
    EngineCrashed,
    OutputError,
    SchemaError,
    ToolError,
    UsageError,
)

_log = logging.getLogger(__name__)
_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "server_error",
}
_CRASH_WAIT_S = 1


class Refusal(CoalmError):  # noqa: N818 - an answer like others, as HTTP sees it
    """A request that gets no answer: `status`, the `param` that is wrong, and a `code` for programs."""

    def __init__(
        self, status: int, message: str, param: str | None = None, code: str | None = None, retry_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.retry_s = retry_s

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's head says of it: when to come again, how to say who asks."""
        headers = {} if self.retry_s is None else {"Retry-After": str(self.retry_s)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in (408, 413):  # the rest of the body is not waited for
            headers["Connection"] = "close"
        return headers

    @property
    def body(self) -> dict[str, object]:
        """OpenAI's error object."""
        kind = _KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def refusal_of(error: Exception) -> Refusal:
    """The refusal that an error becomes; one that nobody foresaw is logged, and its words stay here."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, CoalmError):
        return _of_ours(error, f"{error.message}. {error.hint}" if error.hint else error.message)
    _log.error("unexpected %s", type(error).__name__, exc_info=error)
    return Refusal(500, f"unexpected {type(error).__name__}; this is a fault of coalm-lite", code="internal_error")


def _of_ours(error: CoalmError, words: str) -> Refusal:
    match error:
        case EngineCrashed():
            again = f"{error.message}; a fresh engine takes the next request"
            return Refusal(503, again, code="engine_crashed", retry_s=_CRASH_WAIT_S)
        case ContextFullError():
            return Refusal(400, words, "messages", "context_length_exceeded")
        case SchemaError() | ToolError():
            return Refusal(400, words, "tools", "invalid_tool")
        case OutputError():
            return Refusal(422, words, code="invalid_output")
        case UsageError():
            return Refusal(400, words)
        case _:
            return Refusal(503, words, code="engine_failed", retry_s=_CRASH_WAIT_S)
