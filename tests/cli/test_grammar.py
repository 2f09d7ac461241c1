"""`coalm-lite grammar`: GBNF, the explanation, errors that name tool, place and keyword."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coalm_lite.types import JsonObject
from tests.cli.conftest import CommandLine


def _file(folder: Path, parameters: JsonObject) -> str:
    path = folder / "tools.json"
    path.write_text(json.dumps([{"name": "find", "parameters": {"type": "object", **parameters}}]), encoding="utf-8")
    return str(path)


PARAMETERS: JsonObject = {"properties": {"n": {"type": "integer", "multipleOf": 2, "description": "d"}}}


def test_the_grammar_of_the_dialect_is_printed(command_line: CommandLine, tmp_path: Path) -> None:
    outcome = command_line("grammar", _file(tmp_path, PARAMETERS), "--dialect", "bfcl")
    assert outcome.code == 0 and outcome.out.startswith("root ::= ") and '"n="' in outcome.out


def test_the_explanation_says_how_each_keyword_is_held(command_line: CommandLine, tmp_path: Path) -> None:
    outcome = command_line("grammar", _file(tmp_path, PARAMETERS), "--explain")
    rows = [line.split()[:4] for line in outcome.out.splitlines()]
    assert ["find", "/properties/n", "multipleOf", "check"] in rows
    assert ["find", "/properties/n", "type", "grammar"] in rows
    assert ["find", "/properties/n", "description", "annotation"] in rows
    listed = json.loads(command_line("grammar", _file(tmp_path, PARAMETERS), "--explain", "--json").out)
    assert {"tool": "find", "pointer": "/properties/n", "keyword": "multipleOf", "how": "check", "note": ""} in listed


def test_json_has_the_grammar_and_what_holds(command_line: CommandLine, tmp_path: Path) -> None:
    document = json.loads(command_line("grammar", _file(tmp_path, PARAMETERS), "--json").out)
    assert document["dialect"] == "hammer" and document["gbnf"].startswith("root ::= ") and document["held"]


@pytest.mark.parametrize(("keyword", "value"), [("pattern", "("), ("$ref", "https://example.org/x"), ("maxLenght", 3)])
def test_what_nothing_can_hold_is_wrong_usage_and_named(
    command_line: CommandLine, tmp_path: Path, keyword: str, value: object
) -> None:
    outcome = command_line("grammar", _file(tmp_path, {"properties": {"n": {keyword: value}}}))
    assert outcome.code == 2 and outcome.out == ""
    assert "'find'" in outcome.message and keyword in outcome.message


def test_a_missing_file_is_wrong_usage(command_line: CommandLine, tmp_path: Path) -> None:
    outcome = command_line("grammar", str(tmp_path / "none.json"))
    assert outcome.code == 2 and "none.json" in outcome.message
