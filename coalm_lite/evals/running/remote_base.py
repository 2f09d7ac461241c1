"""A server's recorded answer as the draft of a model on this machine, whose token numbers may mean something else.

A server's step names its prompt by the text. Its tokens are taken where they write the answer's text with this model's
vocabulary too; else the text is tokenized here, and without the log-probabilities: then only the texts' agreement is
told, no KL divergence.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from coalm_lite.evals.run import Step
from coalm_lite.runtime.base import Engine
from coalm_lite.types import Prompt, Segment

_ROUND = 16  # hex digits of a prompt's hash


def text_sha256(prompt: Prompt) -> str:
    """The first digits of the hash of a prompt's text, by which a server's step says what was asked."""
    return sha256("".join(segment.text for segment in prompt).encode()).hexdigest()[:_ROUND]


def as_draft(recorded: Step, prompt: Prompt, engine: Engine) -> Step | None:
    """The recorded step in `engine`'s tokens; None when another prompt was asked."""
    if recorded.prompt_sha256 != text_sha256(prompt):
        return None
    if _is_written_alike(recorded, engine):
        return recorded
    tokens = tuple(engine.tokenize((Segment(recorded.text),))) if recorded.text else ()
    return replace(recorded, tokens=tokens, ends=_ends(tokens, engine), choices=())


def _is_written_alike(recorded: Step, engine: Engine) -> bool:
    """Whether the tokens mean the same here, as far as the answer shows; of no text nothing can be seen."""
    named = [*recorded.tokens, *(number for choice in recorded.choices for number in choice.ids)]
    if not recorded.text or not all(0 <= number < engine.info.vocabulary_size for number in named):
        return False
    return b"".join(map(engine.token_bytes, recorded.tokens)) == recorded.text.encode()


def _ends(tokens: tuple[int, ...], engine: Engine) -> tuple[int, ...]:
    ends, end = [], 0
    for token in tokens:
        end += len(engine.token_bytes(token))
        ends.append(end)
    return tuple(ends)
