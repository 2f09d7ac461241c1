"""The child process of an ONNX conversion, seen from its parent: torch, optimum and onnx run there (child.py).

What they print is kept for the log `coalm_lite.onnx`; what goes wrong comes back as an error of ours; an interrupt of
the parent ends the child, and a child whose parent was killed ends itself. Nothing is fetched: the child is told to
stay offline.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from coalm_lite.errors import CoalmError, MissingExtraError, ModelError
from coalm_lite.types import JsonValue

CHILD = "coalm_lite.converters.onnx_export.child"
EXTRA_HINT = "Install it: pip install 'coalm-lite[onnx]'."
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
}
_KILLED_HINT = "Most often that is the system, out of memory: close other programs, or convert on a larger machine."
_LOG_HINT = "What the libraries said of it is in the log (-vv). Versions that go together come with coalm-lite[onnx]."
logger = logging.getLogger("coalm_lite.onnx")
logger.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Have the checkpoint folder `source` exported into the empty folder `target`, in half precision or in single."""

    source: str
    target: str
    half: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantize:
    """Have the graph `source` quantized into the file `target`.

    `bits` is 4, in blocks of `block` values, or 8. Weights go into a second file where all pass `external_bytes`.
    """

    source: str
    target: str
    bits: int
    block: int
    external_bytes: int


def run_child(task: Export | Quantize, temporary: Path) -> None:
    """Do the task in a child process whose temporary files are in `temporary`; ModelError says why it failed."""
    request = {"task": type(task).__name__, "parent": os.getpid(), **asdict(task)}
    done = _completed([sys.executable, "-m", CHILD, json.dumps(request)], temporary)
    logger.debug("%s:\n%s", request["task"], done.stderr.decode(errors="replace"))
    if done.returncode < 0:
        raise ModelError(f"converting {task.source} was ended by signal {-done.returncode}", _KILLED_HINT)
    error = _error(task.source, done)
    if error is not None:
        raise error


def _completed(command: list[str], temporary: Path) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | _OFFLINE | {"TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}
    # `run` kills the child when an interrupt ends the wait
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False)


def _error(source: str, done: subprocess.CompletedProcess[bytes]) -> CoalmError | None:
    """What the child's last line of output says went wrong; None when nothing did."""
    try:
        answer: JsonValue = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        answer = None
    if not isinstance(answer, dict):
        return ModelError(f"converting {source} ended without an answer, exit code {done.returncode}", _KILLED_HINT)
    match answer.get("kind"):
        case "done":
            return None
        case "missing":
            return MissingExtraError(f"the conversion needs a package: {answer.get('problem')}", EXTRA_HINT)
        case "refused":
            hint = "The checkpoint is damaged, or does not fit the type: download it again, or convert to fp32."
            return ModelError(f"{source}: {answer.get('problem')}", hint)
        case _:
            return ModelError(f"converting {source} failed: {answer.get('problem')}", _LOG_HINT)
