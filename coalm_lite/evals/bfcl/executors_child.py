"""The child process of `executors`: runs calls on BFCL's own objects and asks BFCL's own check, within limits.

Run as a script with the unpacked bfcl-eval's folder as its one argument; requests and answers are JSON lines on
standard input and output. It imports nothing of coalm_lite. BFCL evaluates the calls as Python, so before the first one
this process gives up what it can: memory beyond a limit, files to write, other processes, the network (by the system
where that is allowed, by an audit hook everywhere). Only calls that were read, with literal values, come here; this
stops what they still could do by accident, and is no sandbox for hostile Python.

    {"do": "begin", "number": 1, "item": {...}}      the objects of an item, as its entry describes them
    {"do": "run", "number": 1, "calls": ["f(a=1)"]}  ["what each call gave"]
    {"do": "check", "number": 1, "turns": [[["f(a=1)"]]], "gold": [["f(a=1)"]]}   "" or what is wrong
    {"do": "end", "number": 1}
"""

from __future__ import annotations

import decimal
import json
import os
import re
import sys
import types
from typing import Any, TextIO

MEMORY_BYTES = 1 << 30
OPEN_FILES = 64
_REFUSED = re.compile(
    r"socket\.|subprocess\.|shutil\.|os\.(system|exec|fork|posix_spawn|spawn|remove|rename|rmdir|mkdir|kill|truncate)"
)
_WRITING = re.compile("[wax+]")
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


# Any: requests are the parent's JSON, and what they hold is BFCL's
class Objects:
    """The objects of each item that is under way, by the number that the parent gave it."""

    def __init__(self) -> None:
        from bfcl_eval.eval_checker.multi_turn_eval import (  # type: ignore[import-not-found]
            multi_turn_checker,
            multi_turn_utils,
        )

        self._utils: Any = multi_turn_utils
        self._checker: Any = multi_turn_checker
        self._items: dict[int, Any] = {}

    def answer(self, request: Any) -> Any:
        """What one request asks for."""
        number = request["number"]
        match request["do"]:
            case "begin":
                self._forget(number)
                self._items[number] = request["item"]
                return self._run(number, [])
            case "run":
                return self._run(number, request["calls"])
            case "check":
                return self._check(number, request["turns"], request["gold"])
            case "end":
                self._items.pop(number, None)
                self._forget(number)
        return []

    def _run(self, number: int, calls: list[str]) -> Any:
        item = self._items[number]
        long_context = "long_context" in item["id"]
        results, _ = self._utils.execute_multi_turn_func_call(
            calls, item["initial_config"], item["involved_classes"], _owner(number), item["id"], long_context
        )
        return results

    def _check(self, number: int, turns: Any, gold: Any) -> str:
        """BFCL runs all the turns again, on new objects, beside the gold calls."""
        self._forget(number, "_eval")
        self._forget(number, "_ground_truth_eval")
        item = self._items[number]
        found = self._checker.multi_turn_checker(turns, gold, item, "", _owner(number))
        return "" if found["valid"] else f"{found['error_type']}: {found['error_message']}"

    def _forget(self, number: int, role: str = "") -> None:
        """BFCL keeps an item's objects among its module's names; they go when they are no longer needed."""
        names = [name for name in vars(self._utils) if name.startswith(f"{_owner(number)}{role}_")]
        for name in names:
            delattr(self._utils, name)


def _owner(number: int) -> str:
    return f"item{number}x"


def stand_in_for_mpmath() -> types.ModuleType:
    """What BFCL's MathAPI uses of mpmath, which is not fetched: `log` at the precision that `mp.dps` has."""
    context = types.SimpleNamespace(dps=15)

    class Real(decimal.Decimal):
        """A number whose quotient has the precision, and which shows itself as mpmath's does."""

        def __truediv__(self, other: Any) -> Real:
            with decimal.localcontext() as rounding:
                rounding.prec = max(int(context.dps), 1)
                return Real(decimal.Decimal(self) / decimal.Decimal(other))

        def __repr__(self) -> str:
            return f"mpf('{self}')"

    def log(value: float) -> Real:
        with decimal.localcontext() as rounding:
            rounding.prec = max(int(context.dps), 1) + 5
            return Real(decimal.Decimal(value).ln())

    module = types.ModuleType("mpmath")
    vars(module).update(mp=context, log=log)
    return module


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: no network, no process, no file that is changed."""
    if _REFUSED.match(event) or (event == "open" and _would_write(*arguments[1:3])):
        raise PermissionError(f"{event} is not allowed to what a model wrote")


def _would_write(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return bool(_WRITING.search(mode))
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _limit_self() -> None:
    """Set the limits that this system has; Windows has none of these, and the parent's time limit remains."""
    if sys.platform == "win32":
        return
    import resource

    for name, limit in (("AS", MEMORY_BYTES), ("FSIZE", 0), ("CORE", 0), ("NPROC", 0), ("NOFILE", OPEN_FILES)):
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(kind, (allowed, allowed))
        except (OSError, ValueError):  # macOS refuses some; the others remain
            continue


def _leave_the_network() -> None:
    """Take an empty network where Linux allows that to this user; elsewhere the audit hook holds."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def serve(requests: TextIO, answers: TextIO, objects: Objects) -> None:
    """Answer each line until there is none; an error is an answer too."""
    for line in requests:
        try:
            answer: Any = {"answer": objects.answer(json.loads(line))}
        except Exception as error:  # BFCL's code raises anything; the parent tells what it means
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Serve standard input with the package in the folder that is named."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what BFCL prints is no answer
    sys.dont_write_bytecode = True
    sys.path.insert(0, sys.argv[1])
    sys.modules["mpmath"] = stand_in_for_mpmath()
    _leave_the_network()
    _limit_self()
    objects = Objects()
    sys.addaudithook(_refuse)
    serve(sys.stdin, answers, objects)


if __name__ == "__main__":
    main()
