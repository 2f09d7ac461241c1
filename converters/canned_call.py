"""Whether a model can make a tool call: one canned request, answered under the grammar of the model's dialect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coalm_lite import dialects
from coalm_lite.errors import ContextFullError, DecodingError, ModelError, OutputError, ToolError
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.tools import Toolbox
from coalm_lite.types import Segment

from .canned import canned_request

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
        text = _answer(engine, tokens, beginning, dialect.grammar(request.toolbox.specs), cancel)
        _check_calls(request.toolbox, dialect, text)
    except ContextFullError as error:
        return CannedCall(not_called=error.message)
    except (DecodingError, ModelError, OutputError, ToolError) as error:
        return CannedCall(text[:_CUT_CHARACTERS], error.message[:_CUT_CHARACTERS])
    return CannedCall(text[:_CUT_CHARACTERS])


def _answer(engine: Engine, prompt: list[int], beginning: list[int], gbnf: str, cancel: Cancel) -> str:
    """`beginning`, and the most likely tokens that the grammar lets follow."""
    constraint = engine.constraint(gbnf)
    written: list[int] = []
    try:
        engine.prefill([*prompt, *beginning], cancel)
        for token in beginning:
            constraint.accept(token)
        while not constraint.finished() and len(written) < _MAX_TOKENS:
            logits = engine.logits()
            if not np.isfinite(logits).all():
                raise DecodingError(f"the model computes what is no number, after {len(written)} tokens")
            token = int(logits.argmax())
            if not constraint.allows(token):
                token = int(constraint.mask(logits).argmax())
            if engine.is_end(token):
                break
            constraint.accept(token)
            written.append(token)
            engine.extend([token], cancel)
    finally:
        constraint.close()
    return b"".join(map(engine.token_bytes, [*beginning, *written])).decode(errors="replace")


def _check_calls(toolbox: Toolbox, dialect: dialects.Dialect, text: str) -> None:
    """Raises OutputError for a text that is not of the dialect, ToolError for a call that no session would run."""
    calls = dialect.parse(text).calls
    if not calls:
        raise ToolError("the answer has no call")
    for call in calls:
        toolbox.validate(call)
