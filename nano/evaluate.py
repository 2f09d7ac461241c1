"""Measures coalm-nano, or any GGUF, through the runtime: one JSON object on the last line.

`python -m nano.evaluate --multiwoz FILE [--limit N] --json`: dialogue state tracking with gold history and the model's
own accumulated state. `--turns multiwoz|sgd --data DATA`: conversation turns of dev rows, the right decision (call or
answer) and the exactly right call. `--requests`: the single requests of nano/requests.py.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coalm_lite import dialects
from coalm_lite.decoding.generate import Generated, generate
from coalm_lite.errors import OutputError
from coalm_lite.evals.multiwoz import states as scoring
from coalm_lite.grammar import Grammar
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Message, Sampling, ToolCall, ToolSpec
from nano import multiwoz, sgd
from nano.examples import Example, Step
from nano.requests import REQUESTS, SMALL_TALK

MODEL = Path(__file__).parent.parent / "coalm_lite" / "models" / "coalm-nano.Q8_0.gguf"
ANSWER_TOKENS = 200


def main() -> None:
    """Parses the command line, measures, prints."""
    options = _options()
    with LlamaEngine.load(options.model, context_tokens=options.context, threads=options.threads) as engine:
        model = Speaker(engine, constrained=not options.no_grammar)
        if options.multiwoz:
            result: dict[str, object] = asdict(track_states(model, read_dialogues(options.multiwoz, options.limit)))
        elif options.turns:
            result = judge_turns(model, dev_steps(options.turns, options.data, options.limit or 300))
        else:
            result = judge_requests(model)
    print(json.dumps(result, ensure_ascii=False) if options.json else "\n".join(f"{k}: {v}" for k, v in result.items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure coalm-nano.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--multiwoz", type=Path, help="test dialogues, JSON Lines, gzipped")
    what.add_argument("--turns", choices=("multiwoz", "sgd"), help="conversation turns of dev rows")
    what.add_argument("--requests", action="store_true", help="single requests and small talk")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data folder, for --turns")
    parser.add_argument("--limit", type=int, help="dialogues of --multiwoz, turns of --turns")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--context", type=int, help="tokens; the trained context when not given")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--no-grammar", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


class Speaker:
    """An engine that writes replies in a dialect, greedily; the history of the last prompt stays in its KV cache."""

    def __init__(self, engine: Engine, constrained: bool) -> None:
        self.engine, self.constrained = engine, constrained
        self._grammars: dict[tuple[str, tuple[str, ...]], Grammar] = {}

    def reply(self, dialect_name: str, messages: Iterable[Message], tools: tuple[ToolSpec, ...]) -> Message:
        """The reply; an empty one where the output is not of the form."""
        dialect = dialects.get(dialect_name)
        key = dialect_name, tuple(tool.name for tool in tools)
        if self.constrained and key not in self._grammars:
            self._grammars[key] = dialect.compiled(tools)
        tokens = self.engine.tokenize(dialect.render(tuple(messages), tools, True))
        sampling = Sampling(max_tokens=ANSWER_TOKENS)
        *_, last = generate(self.engine, tokens, sampling, self._grammars.get(key), Cancel())
        assert isinstance(last, Generated)
        try:
            return dialect.parse(last.text)
        except OutputError as error:
            print(f"not of the form: {error.message}", file=sys.stderr)
            return Message("assistant")


def read_dialogues(path: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    """The first `limit` dialogues of a JSON Lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if limit is not None and number >= limit:
                return
            yield json.loads(line)


def track_states(model: Speaker, dialogues: Iterable[dict[str, Any]]) -> scoring.StateScore:
    """Joint goal accuracy and slot F1 with gold history and the model's own accumulated state."""
    return scoring.score_states(pair for dialogue in dialogues for pair in _states(model, dialogue))


def _states(model: Speaker, dialogue: dict[str, Any]) -> Iterator[tuple[scoring.State, scoring.State]]:
    messages: tuple[Message, ...] = ()
    state: scoring.State = {}
    for turn in dialogue["turns"]:
        messages += scoring.dialogue_messages([(turn["system"], turn["user"])])
        state = scoring.updated_state(state, model.reply("dst", messages, scoring.tools()).calls)
        yield state, turn["state"]


def dev_steps(source: str, data: Path, count: int) -> list[tuple[Example, Step]]:
    """`count` assistant steps drawn from dev conversations; nothing of dev is trained on."""
    rng = random.Random(7)
    if source == "multiwoz":
        venues = multiwoz.Venues(data / "multiwoz24/db")
        rows = multiwoz.read_dialogues(data / "multiwoz24/raw/dev.tsv.gz")
        made = [multiwoz.conversation(dialogue, venues, rng) for dialogue in rows]
    else:
        schemas = sgd.read_schemas(data / "sgd/dev_schema.json")
        made = [sgd.conversation(record, schemas, rng) for record in sgd.read_dialogues(data / "sgd/dev.jsonl.gz")]
    # Only steps right after the user's words: what follows an observation is nearly always an answer.
    steps = [(example, step) for example in made for step in example.steps if step.messages[-1].role == "user"]
    return rng.sample(steps, min(count, len(steps)))


def judge_turns(model: Speaker, steps: Iterable[tuple[Example, Step]]) -> dict[str, object]:
    """Shares of turns with the right decision and, of those where a call is due, with exactly that call."""
    turns = decided = due = exact = 0
    for example, step in steps:
        reply = model.reply("cra", step.messages, example.tools)
        turns += 1
        decided += bool(reply.calls) == bool(step.reply.calls)
        if step.reply.calls:
            due += 1
            exact += [_plain(call) for call in reply.calls] == [_plain(call) for call in step.reply.calls]
    return {"turns": turns, "decision": decided / turns, "calls_due": due, "call_exact": exact / max(1, due)}


def _plain(call: ToolCall) -> tuple[str, dict[str, str]]:
    return call.name, {key: str(value).lower() for key, value in call.arguments.items()}


def judge_requests(model: Speaker) -> dict[str, object]:
    """How many single requests get exactly the right call, and how much small talk gets none."""
    from coalm_lite.demo import tools
    from coalm_lite.tools import Toolbox

    specs = Toolbox(tools()).specs
    right = []
    for text, call in REQUESTS:
        reply = model.reply("cra", [Message("user", text)], specs)
        right.append([_plain(each) for each in reply.calls] == [_plain(call)])
        if not right[-1]:
            print(f"{text!r}: wanted {call}, got {reply.calls or reply.text}", file=sys.stderr)
    quiet = [not model.reply("cra", [Message("user", text)], specs).calls for text in SMALL_TALK]
    return {
        "requests": len(right),
        "right_call": sum(right) / len(right),
        "small_talk": len(quiet),
        "no_call": sum(quiet) / len(quiet),
    }


if __name__ == "__main__":
    main()
