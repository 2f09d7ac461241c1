"""Time to first token of a conversation's second turn: with the KV cache of the first turn, and without.

usage: python benchmarks/ttft.py [MODEL.gguf] [--n 12] [--threads N]

The conversation is in the `cra` form over the demo tools. Each trial asks something else in the second turn and is
measured both ways in turn, in one process; "without" empties the KV cache first. One JSON row a measurement, and last
one JSON object with the medians, their spread and the ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from coalm_lite import demo
from coalm_lite.decoding.generate import Generated, generate
from coalm_lite.dialects import cra
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.session import INSTRUCTIONS_KEY
from coalm_lite.tools import Toolbox
from coalm_lite.types import Message, Prompt, Sampling, Segment, ToolCall
from rows import provenance

EMBEDDED = Path(__file__).parent.parent / "coalm_lite" / "models" / "coalm-nano.Q8_0.gguf"
FIRST_REQUEST = "I need a cheap hotel in the north with parking."
FIRST_ANSWER = "I found one. Shall I book it for you, and for how many people and nights?"
AREAS = ("north", "south", "east", "west", "centre")
FOODS = ("indian", "italian", "chinese", "british", "thai")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    trial: int
    kv_reuse: bool
    prompt_tokens: int
    reused_tokens: int
    ttft_s: float


class Conversation:
    """The first turn as it was, and a second turn that asks something new each time."""

    def __init__(self, engine: LlamaEngine) -> None:
        self._engine = engine
        self._short = engine.info.metadata.get(INSTRUCTIONS_KEY) == "short"
        call = ToolCall("find_hotels", {"area": "north", "pricerange": "cheap", "parking": "yes"})
        with tempfile.TemporaryDirectory() as folder:
            tools = Toolbox(demo.tools(Path(folder) / "demo.sqlite3"))
            found = Message("tool", tools.run(call).text)
        self._specs = tools.specs
        self._asked = [Message("user", FIRST_REQUEST)]
        self._called = [*self._asked, Message("assistant", calls=(call,)), found]
        self._answered = [*self._called, Message("assistant", FIRST_ANSWER)]

    def play_first_turn(self) -> None:
        """Leave the KV cache as the two steps of the first turn leave it."""
        for before, after in ((self._asked, self._called), (self._called, self._answered)):
            reply = Segment(cra.render_reply(after[len(before)]))
            self._engine.prefill(self._engine.tokenize((*self._prompt(before), reply)), Cancel())

    def second_turn(self, trial: int) -> list[int]:
        """The tokens of the second turn's first prompt."""
        area, food = AREAS[trial % len(AREAS)], FOODS[trial // len(AREAS) % len(FOODS)]
        request = Message("user", f"An {food} restaurant in the {area} for {trial % 7 + 2} people on Friday, please.")
        return self._engine.tokenize(self._prompt([*self._answered, request]))

    def _prompt(self, messages: list[Message]) -> Prompt:
        return cra.render(messages, self._specs, self._short)


def measure(engine: LlamaEngine, conversation: Conversation, trial: int, kv_reuse: bool) -> Row:
    """The second turn's first token, after the first turn or after an emptied KV cache."""
    tokens = conversation.second_turn(trial)
    conversation.play_first_turn()
    if not kv_reuse:
        engine.prefill(
            [(tokens[0] + 1) % engine.info.vocabulary_size], Cancel()
        )  # another first token: nothing is left
    *_, end = generate(engine, tokens, Sampling(max_tokens=1), None, Cancel())
    if not isinstance(end, Generated):
        raise TypeError("generate ends with Generated")
    return Row(trial, kv_reuse, end.timings.prompt_tokens, end.timings.reused_tokens, end.timings.ttft_s)


def summary(rows: list[Row], model: Path, engine: LlamaEngine) -> dict[str, object]:
    """Medians, spread and paired ratios, with what is needed to measure again."""
    reused = [row.ttft_s for row in rows if row.kv_reuse]
    fresh = [row.ttft_s for row in rows if not row.kv_reuse]
    ratios = [with_reuse / without for with_reuse, without in zip(reused, fresh, strict=True)]
    return {
        "benchmark": "ttft_second_turn",
        "unit": "s",
        "n": len(ratios),
        "ttft_reused_median": statistics.median(reused),
        "ttft_reused_range": [min(reused), max(reused)],
        "ttft_fresh_median": statistics.median(fresh),
        "ttft_fresh_range": [min(fresh), max(fresh)],
        "ratio_median": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "model": model.name,
        "options": asdict(engine.options),
    } | provenance()


def main() -> None:
    """Measure, print the rows, and the summary last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=EMBEDDED)
    parser.add_argument("--n", type=int, default=12)
    parser.add_argument("--threads", type=int)
    wanted = parser.parse_args()
    rows: list[Row] = []
    with LlamaEngine.load(wanted.model, threads=wanted.threads) as engine:
        conversation = Conversation(engine)
        measure(engine, conversation, 0, kv_reuse=False)  # the first pass of a process also reads the weights
        for trial in range(wanted.n):
            for kv_reuse in (True, False) if trial % 2 else (False, True):
                rows.append(measure(engine, conversation, trial, kv_reuse))
                print(json.dumps(asdict(rows[-1])))
        print(json.dumps(summary(rows, wanted.model, engine)))


if __name__ == "__main__":
    main()
