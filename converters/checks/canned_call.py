"""Whether a model can make a tool call: one canned request, answered under the grammar of the model's dialect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coalm_lite import dialects
from coalm_lite.converters.checks.canned import canned_request
from coalm_lite.errors import ContextFullError, DecodingError, ModelError, OutputError, ToolError
from coalm_lite.runtime.base import Cancel, Constraint, Engine
from coalm_lite.tools import Toolbox
from coalm_lite.types import Segment

_MAX_TOKENS = 512  # eight calls of the canned tool, a letter a token
_CUT_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class CannedCall:
    """The call as it was written. `problem` says why it is none that a session would run, "" when it is one.

    `not_called` says why the model was not asked, "" when it was.
    """

    text: str = ""
    problem: str = ""
    not_called: str = ""


def canned_call(engine: Engine, dialect_name: str, short: bool, cancel: Cancel) -> CannedCall:
    """What the model makes of the canned request, beginning with the call's name and greedy from there on.

    A model of random weights passes too: what is tried is that file, vocabulary, grammar and computation fit together.
    """
    dialect = dialects.get(dialect_name)
    request = canned_request(dialect, short)
    text = ""
    try:
        tokens = engine.tokenize(request.prompt)
        beginning = engine.tokenize((Segment(request.beginning),))
        text = _answer(engine, dialect, _Start(tokens, beginning, dialect.grammar(request.toolbox.specs)), cancel)
        _check_calls(request.toolbox, dialect, text)
    except ContextFullError as error:
        return CannedCall(not_called=error.message)
    except (DecodingError, ModelError, OutputError, ToolError) as error:
        return CannedCall(text[:_CUT_CHARACTERS], error.message[:_CUT_CHARACTERS])
    return CannedCall(text[:_CUT_CHARACTERS])


@dataclass(frozen=True, slots=True)
class _Start:
    """The prompt, the answer's first tokens, and the grammar that the answer is of."""

    prompt: list[int]
    beginning: list[int]
    gbnf: str


def _answer(engine: Engine, dialect: dialects.Dialect, start: _Start, cancel: Cancel) -> str:
    """The beginning, and the most likely tokens that the grammar lets follow, until they make a whole answer."""
    constraint, text = engine.constraint(start.gbnf), b""
    try:
        engine.prefill([*start.prompt, *start.beginning], cancel)
        for token in start.beginning:
            constraint.accept(token)
            text += engine.token_bytes(token)
        for count in range(_MAX_TOKENS):
            token = _chosen(engine, constraint, count)
            if engine.is_end(token):
                break
            constraint.accept(token)
            text += engine.token_bytes(token)
            if constraint.finished() or _is_whole(dialect, text):
                break
            engine.extend([token], cancel)
    finally:
        constraint.close()
    return text.decode(errors="replace")


def _chosen(engine: Engine, constraint: Constraint, count: int) -> int:
    logits = engine.logits()
    if not np.isfinite(logits).all():
        raise DecodingError(f"the model computes what is no number, after {count} tokens of its answer")
    token = int(logits.argmax())
    return token if constraint.allows(token) else int(constraint.mask(logits).argmax())


def _is_whole(dialect: dialects.Dialect, text: bytes) -> bool:
    """Whether the text is an answer with calls as it stands; some dialects let more calls follow."""
    try:
        return bool(dialect.parse(text.decode()).calls)
    except (OutputError, UnicodeDecodeError):
        return False


def _check_calls(toolbox: Toolbox, dialect: dialects.Dialect, text: str) -> None:
    """Raises OutputError for a text that is not of the dialect, ToolError for a call that no session would run."""
    calls = dialect.parse(text).calls
    if not calls:
        raise ToolError("the answer has no call")
    for call in calls:
        toolbox.validate(call)
