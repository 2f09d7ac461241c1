"""API-Bank (arXiv 2304.08244), levels 1 and 2 in the one-call form published with Hammer: 399 and 127 requests.

The conversation so far is shown with its calls and results, the model writes the next call; nothing is executed.
Figures: Rouge-L, Rouge-1, Rouge-2 and BLEU-4 of the call's text as CoALM's paper (the mean over requests), and whether
the call is exactly the gold one, the F1 of API names and of arguments, pooled. Six level-2 gold calls name an API that
the request does not list, so a grammar cannot reach 100 %; they count all the same.
Not covered: level 3, and API-Bank's own execution against its databases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coalm_lite import dialects
from coalm_lite.errors import OutputError, StoreError, ToolError, UsageError
from coalm_lite.evals.apibank.calls import Written, call_text, equal_arguments, equal_calls, plain_call, read_answer
from coalm_lite.evals.apibank.overlap import bleu_4, rouge_l, rouge_n
from coalm_lite.evals.data.files import read_json
from coalm_lite.evals.items import FAIL, PASS, Ask, Item, Metric, Outcome, Play, Share, Unit
from coalm_lite.tools.foreign_types import spec_from_foreign
from coalm_lite.types import JsonObject, JsonValue, Message, ToolCall, ToolSpec

LEVELS = ("l1", "l2")
_TITLES = {
    "rouge_l": "Rouge-L", "call": "exact call", "api_name": "API name F1", "arguments": "argument F1",
    "rouge_1": "Rouge-1", "rouge_2": "Rouge-2", "bleu_4": "BLEU-4",
}  # fmt: skip
_HEADLINES = ("rouge_l", "call")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and the gold call with its text form."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    gold: ToolCall
    gold_text: str


@dataclass(frozen=True, slots=True)
class ApiBank:
    """The requests of one level or both."""

    name: str
    items: tuple[Item, ...]
    metrics: tuple[Metric, ...]
    dialects: tuple[str, ...] = ("hammer", "cra", "bfcl")

    def play(self, item: Item, dialect: str) -> Play:
        """Ask for the next call and compare it with the gold one."""
        request: Request = item.content
        answer = yield Ask(dialect, request.messages, request.tools)
        written = read_answer(answer.text, dialect, request.tools)
        scores = _scores(written, request, item.stratum)
        wanted = {metric.name: scores[metric.name] for metric in self.metrics if metric.name in scores}
        return Outcome((Unit(item.id, item.stratum, wanted),), answer.error or _note(written, request))


def open_suite(folder: Path, part: str = "") -> ApiBank:
    """The requests in a folder's `hammer_apibank_l1.json` and `_l2.json`; `part` is one of LEVELS, or "" for both."""
    if part not in ("", *LEVELS):
        raise UsageError(f"API-Bank has no part {part!r}", f"Write apibank, or one of {_listed()}.")
    levels = (part,) if part else LEVELS
    items = [item for level in levels for item in _level(folder / f"hammer_apibank_{level}.json", level)]
    return ApiBank(f"apibank:{part}" if part else "apibank", tuple(sorted(items, key=_beginning)), _metrics(levels))


def _listed() -> str:
    return " and ".join(f"apibank:{level}" for level in LEVELS)


def _metrics(levels: tuple[str, ...]) -> tuple[Metric, ...]:
    """Each figure over all; Rouge-L of each level too where there are both, since the paper has these."""
    whole = [Metric(name, title, name == "call", headline=name in _HEADLINES) for name, title in _TITLES.items()]
    single = [Metric(f"rouge_l_{level}", f"Rouge-L, {level.upper()}", False, {level: 1.0}) for level in levels]
    return tuple(whole + (single if len(levels) > 1 else []))


def _scores(written: Written, request: Request, level: str) -> Mapping[str, Share]:
    gold, text, wanted = request.gold, written.text, request.gold_text
    named = any(call.name == gold.name for call in written.calls)
    in_calls = sum(len(call.arguments) for call in written.calls)
    overlap = rouge_l(text, wanted)
    return {
        "rouge_l": Share(overlap),
        "call": PASS if equal_calls(written.calls, gold) else FAIL,
        "api_name": Share(2.0 * named, len(written.calls) + 1),  # F1 is 2 right of those written and those wanted
        "arguments": Share(2.0 * equal_arguments(written.calls, gold), in_calls + len(gold.arguments)),
        "rouge_1": Share(rouge_n(text, wanted, 1)),
        "rouge_2": Share(rouge_n(text, wanted, 2)),
        "bleu_4": Share(bleu_4(text, wanted)),
        f"rouge_l_{level}": Share(overlap),
    }


def _note(written: Written, request: Request) -> str:
    if equal_calls(written.calls, request.gold):
        return ""
    return f"{written.problem or 'another call'}; gold is {request.gold_text}"


def _beginning(item: Item) -> tuple[str, str]:
    """Requests with the same tools come together, and among them those with the same history."""
    request: Request = item.content
    return repr(request.tools), repr(request.messages)


def _level(path: Path, level: str) -> Iterator[Item]:
    """The items of one file. Those that open with the same words are of one dialogue, or of its copy: one cluster."""
    clusters: dict[tuple[str, str], str] = {}
    entries = read_json(path)
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        name = f"{level}-{number:03}"
        try:
            request = _request(entry)
        except (KeyError, IndexError, TypeError, ValueError, ToolError, OutputError) as error:
            problem = f"{path}: request {number} is not of API-Bank's one-call form: {error!r}"
            raise StoreError(problem, "Fetch it again with `coalm-lite data fetch apibank`.") from error
        opening = (level, request.messages[0].text)
        yield Item(name, level, clusters.setdefault(opening, name), request)


def _request(entry: JsonValue) -> Request:
    if not isinstance(entry, dict):
        raise TypeError(f"{entry!r:.60} is no object")
    query, tools, answers = entry["query"], entry["tools"], entry["answers"]
    if not (isinstance(query, list) and isinstance(tools, list) and isinstance(answers, list) and len(answers) == 1):
        raise TypeError("query and tools are lists, answers a list of one call")
    if not query:
        raise ValueError("an empty conversation")
    specs = tuple(spec_from_foreign(_object(tool)) for tool in tools)
    gold = plain_call(_call(_object(answers[0])), specs)
    return Request(tuple(_message(_object(said)) for said in query), specs, gold, call_text([gold]))


def _message(said: JsonObject) -> Message:
    """A line of the conversation: `agent` speaks to the user, `assistant` calls, `tool` is the result."""
    role, text = said["role"], str(said["content"])
    if role == "assistant":
        return dialects.get("hammer").parse(text.strip().strip("`"))  # the call stands between three back ticks
    if role == "agent":
        return Message("assistant", text)
    if role == "user":
        return Message("user", text)
    if role == "tool":
        return Message("tool", text)
    raise ValueError(f"{role!r} is no role")


def _call(answer: JsonObject) -> ToolCall:
    return ToolCall(str(answer["name"]), _object(answer["arguments"]))


def _object(value: JsonValue) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.60} is no object")
    return value
