"""Whether our check of calls decides as BFCL's own does, on every gold answer and on seeded mutations of them.

usage: python benchmarks/bfcl_checker.py --data-dir DATA --bfcl-eval DIR [--mutations 20000] [--seed 0] [--keep]

DATA has the folder `bfcl` (V3); DIR is bfcl-eval 2026.3.23 unpacked: `coalm-lite data fetch bfcl-executors`, or `pip
install --no-deps --target DIR bfcl-eval==2026.3.23`. Its checker imports every provider's module for one setting; a
table of that setting's default stands in for them. A gold answer lists allowed values of each parameter: calls are made
until each value stood in one; Java and JavaScript values are written as source text. A mutation is made of such calls:
its kind, item and place are drawn by the seed. Then all 800 multi-turn gold answers of the package's own data run
through its executors in our limited process, and so they do with their last turn's calls left out. Disagreements are
printed; the last line is one JSON object, which `--keep` appends to results/bfcl.jsonl.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gold_answers import read_lines, variant

from coalm_lite.evals.bfcl.categories import AST_CATEGORIES, CATEGORIES, Category
from coalm_lite.evals.bfcl.checker import wrong_calls
from coalm_lite.evals.bfcl.executors import Executors
from coalm_lite.evals.bfcl.questions import Dialogue, read_dialogues
from coalm_lite.types import ToolCall
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "bfcl.jsonl"
MOST_SHOWN = 40
Official = Callable[["Gold", list[ToolCall]], str]


# Any: the files are other people's JSON, of no fixed form
@dataclass(frozen=True, slots=True)
class Gold:
    """An item with a gold answer, and the calls that it allows, one list a choice of its values."""

    id: str
    category: Category
    functions: list[Any]
    answers: list[Any]
    choices: tuple[list[ToolCall], ...]


def golds(folder: Path) -> Iterator[Gold]:
    """Every item of BFCL V3 that has a gold answer in calls."""
    for category in AST_CATEGORIES:
        name = f"BFCL_v3_{category.file}.json.gz"
        answers = {row["id"]: row["ground_truth"] for row in read_lines(folder / "possible_answer" / name)}
        for item in read_lines(folder / name):
            answer = answers[item["id"]]
            most = max([1, *(len(values) for call in answer for values in next(iter(call.values())).values())])
            choices = tuple(
                [_call(each, item["function"], category, at) for each in answer] for at in range(min(most, 12))
            )
            yield Gold(item["id"], category, item["function"], answer, choices)


def _call(answer: Any, functions: Any, category: Category, at: int) -> ToolCall:
    ((name, options),) = answer.items()
    function: Any = next((each for each in functions if each["name"] == name), {"parameters": {}})
    properties = function["parameters"].get("properties", {})
    chosen = variant(options, at)
    if category.language != "python":
        chosen = {key: source(value, properties.get(key, {}), category.language) for key, value in chosen.items()}
    return ToolCall(name, chosen)


def source(value: Any, declared: Any, language: str) -> str:
    """The value as Java or JavaScript source text of its declared type."""
    if isinstance(value, str):
        return value
    kind, item = declared.get("type"), str(declared.get("items", {}).get("type", "Object"))
    if language == "javascript" or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list) and kind == "Array":
        return f"new {item}[]{{{', '.join(map(_literal, value))}}}"
    if isinstance(value, list):
        return f"new ArrayList<{item}>(Arrays.asList({', '.join(map(_literal, value))}))"
    if isinstance(value, dict):
        return f"new HashMap<String, Object>() {{{{ {' '.join(_put(*each) for each in value.items())} }}}}"
    return f"{value}{'L' if kind == 'long' else 'f' if kind == 'float' else ''}"


def _literal(value: Any) -> str:
    return json.dumps(value)


def _put(key: str, value: Any) -> str:
    return f"put({json.dumps(key)}, {json.dumps(value)});"


class _Defaults(dict[str, Any]):
    """Every model's settings: the default one, by which names are compared as they are."""

    def __missing__(self, name: str) -> Any:
        return types.SimpleNamespace(underscore_to_dot=False)


def official_checker(package: Path) -> Official:
    """BFCL's own decision: "" for right, else its kind of error."""
    os.environ["BFCL_PROJECT_ROOT"] = tempfile.mkdtemp(prefix="bfcl-")
    sys.path.insert(0, str(package))
    settings = types.ModuleType("bfcl_eval.constants.model_config")
    settings.MODEL_CONFIG_MAPPING = _Defaults()  # type: ignore[attr-defined]
    sys.modules[settings.__name__] = settings
    from bfcl_eval.constants.enums import Language  # type: ignore[import-not-found]
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker  # type: ignore[import-not-found]

    def check(gold: Gold, calls: list[ToolCall]) -> str:
        output = [{call.name: copy.deepcopy(call.arguments)} for call in calls]
        language = Language(gold.category.language)
        try:
            found = ast_checker(gold.functions, output, gold.answers, language, gold.category.name, "any")
        except Exception as error:  # what its authors did not foresee ends their run; here it is told apart
            return f"raised {type(error).__name__}: {error}"
        return "" if found["valid"] else str(found["error_type"])

    return check


def ours(gold: Gold, calls: list[ToolCall]) -> str:
    """Our decision."""
    return wrong_calls(calls, gold.functions, gold.answers, gold.category.count, gold.category.language)


WORDS = ("", "x", "0", "1", "true", "None", "Berlin, Germany", "new_york", "a-b/c", 'it"s', "it's", "5.0", "-3", "null")
NUMBERS = (0, 1, -1, 2, 0.0, 1.0, 0.5, 100, 10**12)
SOURCES = (
    "1",
    "-2",
    "3L",
    "4n",
    "1.5",
    "1.5f",
    "true",
    "false",
    "null",
    '"a"',
    "'b'",
    "[]",
    "[1, 2]",
    '["a", "b"]',
    "{}",
    '{a: 1, "b": "x, y"}',
    "new int[]{1, 2}",
    "new ArrayList<>()",
    'new ArrayList<String>(Arrays.asList("a", "b"))',
    'new HashMap<String, Object>() {{ put("a", 1); put("b", "x"); }}',
)


def mutated(kind: str, calls: list[ToolCall], others: list[ToolCall], draw: random.Random) -> list[ToolCall]:
    """The calls with one thing changed; `others` are another item's, to borrow from."""
    changed = [ToolCall(call.name, copy.deepcopy(call.arguments)) for call in calls]
    at = draw.randrange(len(changed))
    name, arguments = changed[at].name, changed[at].arguments
    key = draw.choice([*arguments]) if arguments else ""
    match kind:
        case "a call less":
            del changed[at]
        case "a call more":
            changed.insert(draw.randrange(len(changed) + 1), draw.choice([*calls, *others]))
        case "calls reordered":
            draw.shuffle(changed)
        case "function renamed":
            changed[at] = ToolCall(_renamed(name, draw, others[0].name), arguments)
        case "argument more":
            arguments[draw.choice(["extra", key.upper(), *others[0].arguments])] = _other(None, draw)
        case "arguments reordered":
            changed[at] = ToolCall(name, dict(draw.sample([*arguments.items()], len(arguments))))
        case _ if key:
            value = arguments.pop(key)
            if kind == "argument renamed":
                arguments[_renamed(key, draw, "other")] = value
            elif kind != "argument missing":
                arguments[key] = CHANGES[kind](value, draw)
    return changed


def _renamed(name: str, draw: random.Random, other: str) -> str:
    return draw.choice([name + "_", name.replace("_", "."), name.replace(".", "_"), name.upper(), name[1:], other])


def _other(value: Any, draw: random.Random) -> Any:
    return draw.choice([*WORDS, *NUMBERS, *SOURCES, True, False, None, [], {}, [value], {"a": value}, [[value]]])


def _another_of_its_type(value: Any, draw: random.Random) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return type(value)(value + draw.choice(NUMBERS))
        case str():
            return draw.choice([*WORDS, *SOURCES, value + draw.choice(WORDS), value[1:], value[::-1]])
        case list():
            return draw.choice([value[1:], value * 2, value[::-1], [*value, draw.choice(value or [1])]])
        case dict():
            return {name: each for name, each in value.items() if draw.random() < 0.7}
    return _other(value, draw)


def _written_otherwise(value: Any, draw: random.Random) -> Any:
    """Changes that BFCL takes for the same in a text; an equal number of another type; the same deeper down."""
    match value:
        case bool():
            return draw.choice([int(value), str(value), str(value).lower()])
        case int() | float():
            return draw.choice([float(value), int(value), str(value), f"{value}L", f"{value}f", f"{value}n"])
        case str():
            again = draw.choice(
                [value.upper(), value.replace(" ", "_"), value.replace(",", ""), value.replace("-", "/")]
            )
            return draw.choice([again, value.replace("'", '"'), value.replace('"', "'"), f" {value}. ", f'"{value}"'])
        case list() if value:
            at = draw.randrange(len(value))
            return [*value[:at], draw.choice(DEEPER)(value[at], draw), *value[at + 1 :]]
        case dict() if value:
            name = draw.choice([*value])
            return {**value, draw.choice([name, name, name.upper()]): draw.choice(DEEPER)(value[name], draw)}
    return _other(value, draw)


def _members_reordered(value: Any, draw: random.Random) -> Any:
    if isinstance(value, list):
        return draw.sample(value, len(value))
    return dict(draw.sample([*value.items()], len(value))) if isinstance(value, dict) else value


def _cut_and_joined(value: Any, draw: random.Random) -> Any:
    """A text with a piece of source text put into it, which tries how such text is read."""
    text = value if isinstance(value, str) else json.dumps(value)
    at = draw.randrange(len(text) + 1)
    piece = draw.choice([*SOURCES, ",", ", ", '"', "'", " ", "{", "}", "[", "]", "(", ")", ";", "L", "f", "n", ""])
    return text[:at] + piece + text[at + draw.randrange(4) :]


DEEPER = (_other, _another_of_its_type, _written_otherwise)
CHANGES = {
    "another type": _other,
    "another value": _another_of_its_type,
    "written otherwise": _written_otherwise,
    "members reordered": _members_reordered,
    "text cut and joined": _cut_and_joined,
}
KINDS = (
    *CHANGES,
    "a call less",
    "a call more",
    "calls reordered",
    "function renamed",
    "argument more",
    "arguments reordered",
    "argument renamed",
    "argument missing",
)


def mutations(found: list[Gold], count: int, seed: int) -> Iterator[tuple[str, Gold, list[ToolCall]]]:
    """Drawn mutations. Java, JavaScript and nested values are few in the data, so a third of the items are such."""
    draw = random.Random(seed)
    rare = [gold for gold in found if gold.category.language != "python" or _is_nested(gold)]
    for at in range(count):
        kind = KINDS[at % len(KINDS)]
        gold, other = draw.choice(rare if draw.random() < 1 / 3 else found), draw.choice(found)
        yield kind, gold, mutated(kind, draw.choice(gold.choices), draw.choice(other.choices), draw)


def _is_nested(gold: Gold) -> bool:
    values = [value for calls in gold.choices for call in calls for value in call.arguments.values()]
    return any(isinstance(value, (list, dict)) for value in values)


def compare(tried: Iterator[tuple[str, Gold, list[ToolCall]]], official: Official) -> dict[str, Any]:
    """How many decisions are equal, how many of them "right", and the first ones that are not, printed."""
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for kind, gold, calls in tried:
        theirs, own = official(gold, calls), ours(gold, calls)
        counts["tried"] += 1
        counts["agree"] += bool(theirs) == bool(own)
        counts["right for both"] += not theirs and not own
        counts["the official one raised"] += theirs.startswith("raised")
        kinds[kind] += 1
        if bool(theirs) != bool(own) and counts["tried"] - counts["agree"] <= MOST_SHOWN:
            print(f"{kind} {gold.id}: {calls}\n  official: {theirs or 'right'}\n  ours: {own or 'right'}")
    return {**counts, "kinds": dict(kinds)}


def conversations(package: Path) -> dict[str, int]:
    """How many of the multi-turn gold answers pass, whole and without the calls of the last turn that has some."""
    executors = Executors(package)
    counts: Counter[str] = Counter()
    for category in CATEGORIES:
        for dialogue in read_dialogues(package, category) if category.kind == "conversation" else ():
            whole = [[[call] for call in turn] for turn in dialogue.gold]
            cut = max(at for at, turn in enumerate(whole) if turn)
            counts["tried"] += 1
            for kind, turns in (
                ("pass", whole),
                ("pass without their last calls", [*whole[:cut], [], *whole[cut + 1 :]]),
            ):
                problem = played(executors, dialogue, turns)
                counts[kind] += not problem
                if (kind == "pass") == bool(problem):
                    print(f"{dialogue.id}: {kind}: {problem or 'right'}")
    executors.close()
    return dict(counts)


def played(executors: Executors, dialogue: Dialogue, turns: list[list[list[str]]]) -> str:
    """What is wrong with the steps of calls once they have been run."""
    objects = executors.objects(dialogue.entry)
    for turn in turns:
        for step in turn:
            objects.run(step)
    problem = objects.problem(turns, dialogue.gold)
    objects.end()
    return problem


def main() -> int:
    """Measure and print; 1 where a decision differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--bfcl-eval", type=Path, required=True)
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    official = official_checker(options.bfcl_eval)
    found = list(golds(options.data_dir / "bfcl"))
    gold = compare((("gold", each, calls) for each in found for calls in each.choices), official)
    changed = compare(mutations(found, options.mutations, options.seed), official)
    row = {"benchmark": "bfcl_checker", "seed": options.seed, "gold items": len(found), "gold": gold}
    dialogues = conversations(options.bfcl_eval)
    row |= {"mutations": changed, "multi-turn gold": dialogues, "wall_s": round(time.perf_counter() - started, 1)}
    line = json.dumps(row | provenance())
    print(line)
    if options.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    agree = all(counts["tried"] == counts["agree"] for counts in (gold, changed))
    return int(not agree or dialogues["pass"] != dialogues["tried"])


if __name__ == "__main__":
    sys.exit(main())
