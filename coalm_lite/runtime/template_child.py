"""The child process of `chat_template`: renders one template over sample conversations, in jinja2's sandbox.

Run as a script, with the request on standard input and the answer on standard output, both JSON. It imports nothing of
coalm_lite, limits its own memory and time where the system can, and writes no file. What a template sees is what
transformers gives it: `messages`, `add_generation_prompt`, `bos_token`, `eos_token`, `tools`, `raise_exception`,
`strftime_now`; the tags `break` and `continue`, not `generation`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NoReturn, TypedDict

from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_BYTES = 512 << 20
CPU_S = 10
MAX_CHARACTERS = 200_000
_A_DATE = datetime(2024, 7, 26, tzinfo=UTC)  # the same each time, so that a check can be repeated


class Request(TypedDict):
    """What the parent asks: render `template` for each of `conversations`."""

    template: str
    conversations: list[list[dict[str, str]]]
    bos_token: str
    eos_token: str


class Answer(TypedDict):
    """What the child says: `kind` is rendered, fails or hostile; `texts` one for each conversation when rendered."""

    kind: str
    problem: str
    texts: list[str]


class _Raised(Exception):  # noqa: N818 - a template's own refusal
    """A template called raise_exception."""


class _TooLong(Exception):  # noqa: N818 - a limit, not an error of ours
    """A template wrote more than any prompt needs."""


def _raise_exception(message: object) -> NoReturn:
    raise _Raised(str(message))


def _strftime_now(form: str) -> str:
    return _A_DATE.strftime(form)


def _tojson(value: object, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    return environment


def _bounded(pieces: Iterator[str]) -> str:
    """The pieces as one text; _TooLong as soon as they are."""
    kept, length = list[str](), 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_CHARACTERS:
            raise _TooLong
        kept.append(piece)
    return "".join(kept)


def answer(request: Request) -> Answer:
    """Render the request's template; any error that it makes becomes the answer."""
    try:
        template = _environment().from_string(request["template"])
        texts = [
            _bounded(
                template.generate(
                    messages=messages,
                    add_generation_prompt=True,
                    bos_token=request["bos_token"],
                    eos_token=request["eos_token"],
                    tools=None,
                )
            )
            for messages in request["conversations"]
        ]
    except Exception as error:  # a template's code may raise anything, as any program may
        kind, problem = _verdict(error)
        return Answer(kind=kind, problem=problem, texts=[])
    return Answer(kind="rendered", problem="", texts=texts)


def _verdict(error: Exception) -> tuple[str, str]:
    """What an error says of the template that made it: its kind and the problem in words."""
    match error:
        case SecurityError():
            return "hostile", f"it reaches for what the sandbox forbids: {error}"
        case _TooLong():
            return "hostile", f"it writes more than {MAX_CHARACTERS} characters"
        case MemoryError() | OverflowError() | RecursionError():
            return "hostile", f"it asks for too much ({type(error).__name__})"
        case _Raised():
            return "fails", f"it refuses a plain conversation: {error}"
        case _:
            return "fails", f"{type(error).__name__}: {error}"


def _limit_self() -> None:
    """Set the limits that this system has; Windows has none of them, and the parent's time limit remains."""
    if sys.platform == "win32":
        return
    import resource

    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CPU: CPU_S,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        hard = resource.getrlimit(kind)[1]
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(kind, (allowed, allowed))
        except (OSError, ValueError):  # macOS refuses some; the time limit remains
            continue


def main() -> None:
    """Answer the request on standard input."""
    _limit_self()
    request: Request = json.load(sys.stdin)
    sys.stdout.write(json.dumps(answer(request)))


if __name__ == "__main__":
    main()
