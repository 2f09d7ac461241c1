"""Whether every function of BFCL V3 and API-Bank compiles, and its grammar accepts every gold answer, in each dialect.

usage: python benchmarks/gold_answers.py --data-dir DATA [--dialects hammer cra bfcl] [--limit 50] [--keep]

DATA has the folders `bfcl` and `apibank`. A gold answer of BFCL lists allowed values of each parameter: calls are made
until each value stood in one, written in schema order; the answer is refused if one of its calls is. Values of Java and
JavaScript are written as text. Exceptions are printed with their reason; the last line is one JSON object, which
`--keep` appends to results/grammar.jsonl.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from coalm_lite import dialects
from coalm_lite.errors import SchemaError, ToolError
from coalm_lite.evals.bfcl.questions import CLASS_FILES
from coalm_lite.tools.foreign_types import spec_from_foreign
from coalm_lite.tools.schema import schema_reader
from coalm_lite.types import Message, ToolCall, ToolSpec
from rows import provenance

Gold = tuple[str, list[ToolSpec], list[list[ToolCall]]]
RESULTS = Path(__file__).with_name("results") / "grammar.jsonl"
MOST_CALLS = 8


# Any: the files are other people's JSON, of no fixed form
def read_lines(path: Path) -> list[Any]:
    """The objects of a gzip'd JSON Lines file."""
    return [json.loads(line) for line in gzip.open(path, "rt", encoding="utf-8")]


def bfcl(folder: Path, limit: int, only: Container[str] | None = None) -> Iterator[Gold]:
    """Each item's id, tools and its gold answers, none where BFCL gives none; `only`: the ids that are wanted."""
    for path in sorted(folder.glob("BFCL_v3_*.json.gz")):
        golds = folder / "possible_answer" / path.name
        answers = {row["id"]: row["ground_truth"] for row in read_lines(golds)} if golds.exists() else {}
        for item in read_lines(path)[:limit]:
            if only is not None and item["id"] not in only:
                continue
            language = next((name for name in ("javascript", "java") if f"_{name}" in path.name), "python")
            if "function" not in item:
                yield from multi_turn(folder, item, answers[item["id"]])
                continue
            tools = [spec_from_foreign(function, language) for function in item["function"]]  # type: ignore[arg-type]
            specs = {tool.name: tool for tool in tools}
            gold = [called(call, specs, language) for call in answers.get(item["id"], [])]
            yield item["id"], tools, gold


def called(answer: dict[str, Any], specs: dict[str, ToolSpec], language: str) -> list[ToolCall]:
    """The calls that one gold answer allows, until each allowed value stood in one."""
    ((name, options),) = answer.items()
    if name not in specs:  # then no grammar can accept it, and it is listed
        return [ToolCall(name, variant(options, 0))]
    properties = specs[name].parameters["properties"]
    variants = [variant(options, at) for at in range(max([1, *map(len, options.values())]))]
    return [
        ToolCall(name, {key: as_written(call[key], language) for key in properties if key in call})
        for call in (ordered(call, specs[name].parameters) for call in variants)
    ]


def variant(options: dict[str, Any], at: int) -> dict[str, Any]:
    """One choice among the allowed values; "" stands for leaving it out."""
    chosen = {key: values[at % len(values)] if values else "" for key, values in options.items()}
    return {key: inner(value, at) for key, value in chosen.items() if value != ""}


def inner(value: Any, at: int) -> Any:
    """A value of nested options: objects list what each of their members may be."""
    if isinstance(value, dict):
        lists = all(isinstance(options, list) for options in value.values())
        return variant(value, at) if lists else value
    return [inner(item, at) for item in value] if isinstance(value, list) else value


def ordered(value: Any, schema: Any) -> Any:
    """The value with its members in the schema's order, the others after them."""
    if isinstance(value, list) and isinstance(schema, dict):
        return [ordered(item, schema.get("items")) for item in value]
    if not isinstance(value, dict) or not isinstance(schema, dict):
        return value
    properties = schema.get("properties", {})
    names = [*(name for name in properties if name in value), *(name for name in value if name not in properties)]
    further = schema.get("additionalProperties")
    return {name: ordered(value[name], properties.get(name, further)) for name in names}


def as_written(value: Any, language: str) -> Any:
    """Java and JavaScript values as their source text."""
    return value if language == "python" or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def multi_turn(folder: Path, item: Any, turns: Any) -> Iterator[Gold]:
    """A conversation's tools, and its gold calls, whose positional values are given their names."""
    files = [folder / "multi_turn_func_doc" / f"{CLASS_FILES[name]}.json.gz" for name in item["involved_classes"]]
    tools = [spec_from_foreign(function) for path in files for function in read_lines(path)]
    specs = {tool.name: tool for tool in tools}
    yield item["id"], tools, [[named(text, specs)] for turn in turns for text in turn]


def named(text: str, specs: dict[str, ToolSpec]) -> ToolCall:
    """The call that a Python expression writes."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    schema = specs[ast.unparse(call.func)].parameters
    properties: Any = schema["properties"]
    given = {name: ast.literal_eval(value) for name, value in zip(properties, call.args, strict=False)}
    given |= {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    return ToolCall(ast.unparse(call.func), ordered(json.loads(json.dumps(given)), schema))


def apibank(folder: Path, limit: int) -> Iterator[Gold]:
    """The Hammer form's items, and each API's own description without an answer."""
    for path in sorted(folder.glob("hammer_apibank_*.json.gz")):
        for at, item in enumerate(json.loads(gzip.decompress(path.read_bytes()))[:limit]):
            tools = list({tool["name"]: spec_from_foreign(tool) for tool in item["tools"]}.values())
            specs = {tool.name: tool.parameters for tool in tools}
            calls = [
                ToolCall(call["name"], ordered(call["arguments"], specs.get(call["name"]))) for call in item["answers"]
            ]
            yield f"{path.name.split('.')[0]}_{at}", tools, [[call] for call in calls]
    described = json.loads((folder / "api_descriptions.json").read_text(encoding="utf-8"))
    yield "api_descriptions", [spec_from_foreign(api) for api in described.values()], []


def refusals(items: Iterator[Gold], dialect_name: str, counts: Counter[str]) -> Iterator[str]:
    """What does not compile or is not accepted, with the reason that jsonschema gives; counts all."""
    dialect = dialects.get(dialect_name)
    functions: set[str] = set()
    for name, tools, gold in items:
        functions |= {json.dumps([tool.name, tool.parameters]) for tool in tools}
        try:
            grammar = dialect.compiled(tools)
        except SchemaError as error:
            counts["not compiled"] += 1
            yield f"{dialect_name} {name}: {error.message}"
            continue
        counts["items"] += 1
        for calls in gold:
            written = {dialect.render_reply(Message("assistant", calls=(call,))): call for call in calls}
            refused = [text for text in written if not grammar.accepts(text)]
            counts["gold answers"] += 1
            counts["calls"] += len(written)
            counts["refused"] += bool(refused)
            reasons = [(text, reason(written[text], tools)) for text in refused[:1]]
            counts["refused though its schema allows it"] += any(not why for _, why in reasons)
            yield from [f"{dialect_name} {name}: {text}: {why or 'NO REASON'}" for text, why in reasons]
    counts["functions"] += len(functions)


def reason(call: ToolCall, tools: list[ToolSpec]) -> str:
    """Why the call does not fit its own function; "" if it does."""
    specs = {tool.name: tool for tool in tools}
    if call.name not in specs:
        return "no such function among the tools"
    try:
        schema_reader(specs[call.name])(call.arguments)
    except ToolError as error:
        return error.message
    return ""


def measure(data_dir: Path, dialect: str, limit: int) -> tuple[Counter[str], list[str]]:
    """Counts and exceptions of one dialect."""
    counts: Counter[str] = Counter()
    exceptions = list(refusals(bfcl(data_dir / "bfcl", limit), dialect, counts))
    exceptions += refusals(apibank(data_dir / "apibank", limit), dialect, counts)
    return counts, exceptions


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--dialects", nargs="+", default=["hammer", "cra", "bfcl"], choices=dialects.NAMES)
    parser.add_argument("--limit", type=int, default=10**9, help="items of each file")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    row: dict[str, object] = {"benchmark": "gold_answers"}
    for dialect in options.dialects:
        started = time.process_time()
        counts, exceptions = measure(options.data_dir, dialect, options.limit)
        print(*exceptions, sep="\n")
        row[dialect] = {**counts, "cpu_s": round(time.process_time() - started, 1)}
    line = json.dumps(row | provenance())
    print(line)
    if options.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
