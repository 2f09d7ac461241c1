"""Files in the form of BFCL's, with invented content: V3 data, and a bfcl-eval whose one object is a lamp.

The lamp's modules stand where bfcl-eval has its executors and their check, under the same names and with the same
arguments, so that our child process works with them as with the real ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coalm_lite.evals.bfcl.categories import CATEGORIES

DOCS = (
    "gorilla_file_system",
    "math_api",
    "message_api",
    "posting_api",
    "ticket_api",
    "trading_bot",
    "travel_booking",
    "vehicle_control",
)
UTILS = """
import json
import os
import time


class Lamp:
    def __init__(self, level):
        self.level = level

    def set_level(self, level):
        if level > 9:
            raise ValueError("too bright")
        self.level = level
        return json.dumps({"level": level})

    def read_level(self):
        return str(self.level)

    def wait(self, seconds):
        time.sleep(seconds)
        return "waited"

    def burst(self):
        os._exit(7)

    def surroundings(self):
        return json.dumps(sorted(os.environ))


def execute_multi_turn_func_call(calls, config, classes, owner, item, long_context=False, is_evaL_run=False):
    name = f"{owner}{'_eval' if is_evaL_run else ''}_{item}_instance"
    if name not in globals():
        globals()[name] = Lamp(config["level"] + 100 * long_context)
    results = []
    for call in calls:
        try:
            results.append(eval(f"lamp.{call}" if "." not in call else call, {"lamp": globals()[name]}))
        except Exception as error:
            results.append(f"Error during execution: {error}")
    print("a line that is no answer")
    return results, {"Lamp": globals()[name]}
"""
CHECKER = """
from bfcl_eval.eval_checker.multi_turn_eval.multi_turn_utils import execute_multi_turn_func_call as run


def multi_turn_checker(turns, gold, item, category, owner):
    long_context = "long_context" in item["id"]
    for at, due in enumerate(gold):
        for step in turns[at]:
            _, ours = run(step, item["initial_config"], [], owner, item["id"], long_context, True)
        _, theirs = run(due, item["initial_config"], [], owner + "_ground_truth", item["id"], long_context, True)
        _, ours = run([], item["initial_config"], [], owner, item["id"], long_context, True)
        if ours["Lamp"].level != theirs["Lamp"].level:
            return {"valid": False, "error_type": "state", "error_message": f"{ours['Lamp'].level} in turn {at}"}
    return {"valid": True}
"""
LAMP = [
    {
        "name": name,
        "description": name,
        "parameters": {"type": "dict", "properties": {key: {"type": "integer"} for key in keys}, "required": keys},
    }
    for name, keys in (("set_level", ["level"]), ("read_level", []), ("wait", ["seconds"]), ("burst", []))
]
SAID = [[{"role": "user", "content": "Make it 3."}], [{"role": "user", "content": "Make it 5."}]]
GOLD = [["set_level(level=3)"], ["set_level(level=5)"]]


def dialogue(category: str) -> dict[str, Any]:
    """The one item of a multi-turn category."""
    item = {"id": f"{category}_0", "initial_config": {"level": 1}, "involved_classes": ["VehicleControlAPI"]}
    if category == "multi_turn_miss_func":
        return {**item, "question": [SAID[0], SAID[1], []], "missed_function": {"2": ["read_level"]}}
    return {**item, "question": SAID}


def write_package(folder: Path) -> Path:
    """An unpacked bfcl-eval with the lamp."""
    home, data = folder / "bfcl_eval" / "eval_checker" / "multi_turn_eval", folder / "bfcl_eval" / "data"
    for made in (home, data / "possible_answer", data / "multi_turn_func_doc"):
        made.mkdir(parents=True)
    for package in (home, home.parent, home.parent.parent):
        (package / "__init__.py").write_text("", encoding="utf-8")
    (home / "multi_turn_utils.py").write_text(UTILS, encoding="utf-8")
    (home / "multi_turn_checker.py").write_text(CHECKER, encoding="utf-8")
    for name in DOCS:
        write_lines(data / "multi_turn_func_doc" / f"{name}.json", LAMP if name == "vehicle_control" else [])
    for category in CATEGORIES:
        if category.kind == "conversation":
            item = dialogue(category.name)
            write_lines(data / f"BFCL_v4_{category.file}.json", [item])
            gold = [*GOLD, []] if "missed_function" in item else GOLD
            answer = {"id": item["id"], "ground_truth": gold}
            write_lines(data / "possible_answer" / f"BFCL_v4_{category.file}.json", [answer])
    return folder


def feed(kind: str, **more: Any) -> dict[str, Any]:
    """A function with one parameter."""
    properties = {"bird": {"type": kind, "description": "which", **more}}
    return {"name": "pond.feed", "description": "", "parameters": {"type": "dict", "properties": properties}}


def write_data(folder: Path, each: int = 3) -> Path:
    """V3 files with some items in every single-turn category, whose gold answer is the heron."""
    (folder / "possible_answer").mkdir(parents=True)
    for category in CATEGORIES:
        if category.kind == "conversation":
            continue
        kind = {"java": "String", "javascript": "String"}.get(category.language, "string")
        ids = [f"{category.file}_{number}" for number in range(each)]
        rows = [{"id": item, "question": [[said(item)]], "function": [feed(kind)]} for item in ids]
        write_lines(folder / f"BFCL_v3_{category.file}.json", rows)
        if category.kind == "calls":
            gold = [{"id": item, "ground_truth": [{"pond.feed": {"bird": ["heron"]}}]} for item in ids]
            write_lines(folder / "possible_answer" / f"BFCL_v3_{category.file}.json", gold)
    return folder


def said(item: str) -> dict[str, str]:
    """What a user asks in an item."""
    return {"role": "user", "content": f"Feed the heron, please ({item})."}


def write_lines(path: Path, rows: list[Any]) -> None:
    """A file of JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
