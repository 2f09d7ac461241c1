"""A server's recorded answers in the tokens of a model on this machine."""

from __future__ import annotations

from coalm_lite.dialects import hammer
from coalm_lite.evals.run import Choice, Step
from coalm_lite.evals.running.remote_base import as_draft, text_sha256
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Message, Segment

PROMPT = hammer.render([Message("user", "A train to Ely, please.")], [])
TEXT = '[{"name": "find_train"}]'


def recorded(tokens: tuple[int, ...], text: str = TEXT, **fields: object) -> Step:
    choices = (Choice(0, (tokens[0],), (-0.1,)),) if tokens else ()
    ends = tuple(range(1, len(tokens) + 1))
    return Step(text_sha256(PROMPT), 9, text, "stop", tokens, ends, choices, **fields)  # type: ignore[arg-type]


def test_tokens_that_write_the_text_are_taken_with_their_choices(nano: LlamaEngine) -> None:
    for tokens in (nano.tokenize((Segment(TEXT),)), [nano.tokenize((Segment(letter),))[0] for letter in TEXT]):
        step = recorded(tuple(tokens))
        assert as_draft(step, PROMPT, nano) is step, "another way to cut the same text is no other vocabulary"


def test_tokens_of_another_vocabulary_are_replaced_and_lose_their_choices(nano: LlamaEngine) -> None:
    own = tuple(nano.tokenize((Segment(TEXT),)))
    shifted = tuple(token + 1 for token in own)
    for tokens in (shifted, (*own[:-1], nano.info.vocabulary_size), (-1,), ()):
        draft = as_draft(recorded(tokens), PROMPT, nano)
        assert draft is not None
        assert (draft.tokens, draft.choices) == (own, ())
        assert draft.ends[-1] == len(TEXT.encode()) and len(draft.ends) == len(own)


def test_an_answer_without_text_shows_nothing_of_a_vocabulary(nano: LlamaEngine) -> None:
    step = Step(text_sha256(PROMPT), 9, "", "stop", choices=(Choice(0, (5,), (-0.1,)),))
    draft = as_draft(step, PROMPT, nano)
    assert draft is not None and (draft.tokens, draft.choices) == ((), ())


def test_the_answer_to_another_prompt_is_no_draft(nano: LlamaEngine) -> None:
    assert as_draft(recorded(()), hammer.render([Message("user", "A train to Rye.")], []), nano) is None
