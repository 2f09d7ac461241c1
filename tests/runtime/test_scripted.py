from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.dialects.base import header
from coalm_lite.errors import ContextFullError, DecodingError, ModelError
from coalm_lite.runtime.base import Cancel, Cancelled, Engine, Prefill
from coalm_lite.runtime.scripted import END, ScriptedEngine
from coalm_lite.types import Prompt, Segment

PROMPT: Prompt = (*header("user"), Segment("Grüezi <|eot_id|>"), Segment("<|eot_id|>", marker=True))


def replay(engine: Engine) -> str:
    """What a greedy decoder would write."""
    written = b""
    while not engine.is_end(token := int(engine.logits().argmax())):
        written += engine.token_bytes(token)
        engine.extend([token], Cancel())
    return written.decode()


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_replies_come_back_in_order_one_for_each_prefill(replies: list[str]) -> None:
    with ScriptedEngine(replies) as engine:
        history = engine.tokenize(PROMPT)
        for reply in replies:
            engine.prefill(history, Cancel())
            assert replay(engine) == reply
            history = [*history, *reply.encode(), END]
        with pytest.raises(DecodingError, match=f"the script has {len(replies)} replies"):
            engine.prefill(history, Cancel())


def test_prompts_are_recorded_with_their_markers_by_name() -> None:
    engine = ScriptedEngine(["yes", "no"])
    engine.prefill(engine.tokenize(PROMPT), Cancel())
    engine.prefill(engine.tokenize((Segment("again"),)), Cancel())
    assert engine.prompts == ["<|start_header_id|>user<|end_header_id|>\n\nGrüezi <|eot_id|><|eot_id|>", "again"]


def test_a_typed_marker_is_text_and_an_unknown_one_is_refused() -> None:
    engine = ScriptedEngine([])
    assert END in engine.tokenize((Segment("<|eot_id|>", marker=True),))
    assert END not in engine.tokenize((Segment("<|eot_id|>"),))
    with pytest.raises(ModelError, match="no special token"):
        engine.tokenize((Segment("<|im_start|>", marker=True),))


def test_the_last_prompt_with_a_part_of_its_reply_goes_on_with_that_reply() -> None:
    engine = ScriptedEngine(["north", "south"])
    prompt = engine.tokenize(PROMPT)
    engine.prefill(prompt, Cancel())
    assert engine.prefill([*prompt, *b"no"], Cancel()) == Prefill(len(prompt), 2)
    assert replay(engine) == "rth"
    assert len(engine.prompts) == 1


def test_the_same_prompt_asked_again_gets_the_next_reply() -> None:
    engine = ScriptedEngine(["north", "south"])
    prompt = engine.tokenize(PROMPT)
    engine.prefill(prompt, Cancel())
    assert engine.prefill(prompt, Cancel()) == Prefill(len(prompt) - 1, 1)
    assert replay(engine) == "south"


def test_the_context_and_a_cancel_hold_as_in_a_real_engine() -> None:
    engine = ScriptedEngine(["abc"], context_tokens=5)
    with pytest.raises(ContextFullError, match="6 tokens of context, and 5"):
        engine.prefill([*b"hotels"], Cancel())
    assert engine.prompts == []
    cancelled = Cancel()
    cancelled.set()
    with pytest.raises(Cancelled):
        engine.prefill([*b"hote"], cancelled)
    engine.prefill([*b"hote"], Cancel())
    with pytest.raises(Cancelled):
        engine.extend([*b"a"], cancelled)
    engine.extend([*b"a"], Cancel())
    with pytest.raises(ContextFullError):
        engine.extend([*b"b"], Cancel())


def test_leaving_the_script_is_an_error() -> None:
    engine = ScriptedEngine(["abc"])
    with pytest.raises(DecodingError, match="nothing was computed"):
        engine.logits()
    with pytest.raises(DecodingError, match="no tokens"):
        engine.prefill([], Cancel())
    engine.prefill([1], Cancel())
    with pytest.raises(DecodingError, match="token 98 follows, and the script says 97"):
        engine.extend([*b"b"], Cancel())


def test_a_closed_script_is_refused() -> None:
    with ScriptedEngine(["abc"]) as engine:
        engine.prefill([1], Cancel())
    for use in (engine.logits, lambda: engine.prefill([1], Cancel()), lambda: engine.extend([97], Cancel())):
        with pytest.raises(DecodingError, match="closed"):
            use()


def test_its_constraint_accepts_everything() -> None:
    engine = ScriptedEngine(["x"])
    constraint = engine.constraint('root ::= "y"')
    logits = np.zeros(engine.info.vocabulary_size, dtype=np.float32)
    assert all(constraint.allows(token) for token in range(engine.info.vocabulary_size))
    np.testing.assert_array_equal(constraint.mask(logits), logits)
    constraint.accept(120)
    assert not constraint.finished()
    constraint.close()
