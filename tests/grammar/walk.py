"""Random texts of a grammar."""

from __future__ import annotations

import random

from tests.grammar.gbnf_interpreter import Characters, Grammar

_CALLS = ("[{", "[", "Action: ")


def walk(grammar: Grammar, choose: random.Random) -> str:
    """A random text of `grammar`; it starts with a call where one may, and ends where it first may."""
    text = next((start for start in _CALLS if grammar.viable(start)), "") if choose.random() < 0.9 else ""
    stacks = grammar.after(text)
    while None not in stacks:
        tops = {stack[0].ranges for stack in stacks if stack is not None and isinstance(stack[0], Characters)}
        low, high = choose.choice(choose.choice(sorted(tops)))
        text += chr(choose.randint(low, high))
        stacks = grammar.advance(stacks, text[-1])
        assert stacks
    return text
