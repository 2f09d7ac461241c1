"""A grammar goes to a child once, in a form that decodes alike."""

from __future__ import annotations

import pickle

from coalm_lite.app.messages import Forget, Keep, RulesAlone
from coalm_lite.app.sent_grammars import SentGrammars
from coalm_lite.dialects import cra, hammer
from tests.app.conftest import TOOLS


def messages(framed: list[bytes]) -> list[object]:
    return [pickle.loads(each[4:]) for each in framed]


def test_a_grammar_is_sent_once_and_named_from_then_on() -> None:
    sent = SentGrammars()
    first, key = sent.sent(cra.compiled(TOOLS))
    (kept,) = messages(first)
    assert isinstance(kept, Keep)
    assert kept.key == key
    assert sent.sent(cra.compiled(TOOLS)) == ([], key)  # a dialect keeps what it compiled
    assert sent.sent(hammer.compiled(TOOLS))[1] != key
    assert sent.sent(None) == ([], None)


def test_the_form_that_is_sent_accepts_and_forces_the_same() -> None:
    grammar = cra.compiled(TOOLS)
    (kept,) = messages(SentGrammars().sent(grammar)[0])
    assert isinstance(kept, Keep)
    assert isinstance(kept.grammar, RulesAlone)
    copy = kept.grammar.grammar()
    assert copy.gbnf == grammar.gbnf
    for text in ("Action: find_hotels(area='north')", "Action: find_hotels(area='west')", "Action: find_"):
        assert copy.accepts(text) == grammar.accepts(text)
        assert copy.forced(text) == grammar.forced(text)


def test_the_longest_unused_grammars_are_forgotten() -> None:
    sent = SentGrammars()
    texts = [f'root ::= "{number}"' for number in range(80)]
    keys = [sent.sent(text)[1] for text in texts[:64]]
    sent.sent(texts[0])
    framed, _ = sent.sent(texts[64])
    forgotten = messages(framed)[1]
    assert forgotten == Forget(keys[1])
    assert sent.sent(texts[0]) == ([], keys[0])
    assert sent.sent(texts[1])[0]
