"""Made-up tools and values: what was said must be copied into the call, letter by letter.

A small model learns to copy late from natural dialogues, where most values are frequent ones. Here no name or value
repeats from one example to the next, so that copying is all there is to learn.
"""

from __future__ import annotations

import random

from coalm_lite.types import JsonObject, Message, ToolCall, ToolSpec
from nano.examples import Example, Step, tool
from nano.town_world import World

_JOINTS = (
    "{slot} is {value}",
    "{slot}: {value}",
    "{slot} {value}",
    "the {slot} should be {value}",
    "with {slot} {value}",
)


def example(rng: random.Random) -> Example:
    """A dst or cra example with one or two made-up tools and values to copy."""
    words = _Words(rng)
    tools = tuple(tool(words.key(), words.keys()) for _ in range(rng.randint(1, 2)))
    chosen = rng.choice(tools)
    arguments = words.arguments(chosen)
    spoken = [rng.choice(_JOINTS).format(slot=slot, value=value) for slot, value in arguments.items()]
    rng.shuffle(spoken)
    text = rng.choice(("{tool}, {rest}", "{rest} for {tool}", "{tool} {rest}")).format(
        tool=chosen.name, rest=rng.choice((", ", " and ", " ")).join(spoken)
    )
    said = (Message("user", text),)
    call = Message("assistant", calls=(ToolCall(chosen.name, arguments),))
    if rng.random() < 0.7:
        return Example("dst", tools, (Step(said, call),))
    reference = World(rng).reference()
    observed = (*said, call, Message("tool", f'{{"reference": "{reference}"}}'))
    answer = Message("assistant", f"Done: {', '.join(map(str, arguments.values()))}. Reference: {reference}.")
    return Example("cra", tools, (Step(said, call), Step(observed, answer)))


class _Words:
    """Random words, names and numbers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.world = World(rng)

    def key(self) -> str:
        """A tool's or a slot's name."""
        return "_".join(self.world.made_up_town().lower() for _ in range(self.rng.randint(1, 2)))

    def keys(self) -> list[str]:
        """One to four slot names."""
        return [self.key() for _ in range(self.rng.randint(1, 4))]

    def arguments(self, chosen: ToolSpec) -> JsonObject:
        """Values for some of the tool's parameters, in their order."""
        properties = chosen.parameters["properties"]
        assert isinstance(properties, dict)
        kept = [name for name in properties if self.rng.random() < 0.75] or list(properties)[:1]
        return {name: self._value() for name in kept}

    def _value(self) -> str:
        match self.rng.randrange(5):
            case 0:
                return self.world.time()
            case 1:
                return str(self.rng.randrange(10000))
            case 2:
                return self.world.reference()
            case _:
                made_up = self.rng.choice((self.world.made_up_town, self.world.made_up_word))
                words = [made_up() for _ in range(self.rng.randint(1, 5))]
                text = " ".join(words)
                return text.lower() if self.rng.random() < 0.5 else text
