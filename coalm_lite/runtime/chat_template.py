"""What a model file's own chat template does, found out without trusting it.

coalm-lite writes its prompts itself (`dialects.base`) and never by a file's template; this check tells whether the two
agree, and what is wrong with the template, for `show` and `pull`. A template is a program of a stranger's: it is run
only in jinja2's sandbox, in a child process with limits on time and, where the system has them, on memory. Templates
that need tools, and other than the default one of a file with several, are not covered.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from coalm_lite.dialects.base import BEGIN_OF_TEXT, END_OF_TURN, header
from coalm_lite.runtime.child_command import child_command
from coalm_lite.runtime.gguf_reader import quoted

Kind: TypeAlias = Literal["same", "different", "fails", "hostile", "missing"]
Conversation: TypeAlias = "Sequence[tuple[str, str]]"

TEMPLATE_KEY = "tokenizer.chat_template"
LIMIT_S = 5.0
_MAX_BYTES = 1 << 20
_SHOWN_CHARACTERS = 300
_CHILD = Path(__file__).with_name("template_child.py")
# What a Python process needs to find its modules and libraries; tokens and other secrets stay out of the child.
_PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG")
_CONVERSATIONS: tuple[Conversation, ...] = (
    (("user", "Is there a cheap hotel in the north?"),),
    (("system", "You are a helpful assistant."), ("user", "A table for two, please.")),
    (
        ("system", "Answer briefly."),
        ("user", "When does the train leave?"),
        ("assistant", "At 17:15."),
        ("user", "And the next one?"),
    ),
)


@dataclass(frozen=True, slots=True)
class TemplateCheck:
    """How a template compares with CoALM's Llama 3 wrapper: `problem` says where it differs or what went wrong.

    `same`: it writes the same prompts. `different`: it writes others. `fails`: it does not work. `hostile`: it was
    stopped, by the sandbox or by a limit. `missing`: there is none. None of them keeps a model from chatting here.
    """

    kind: Kind
    problem: str = ""


def check_template(text: str | None, limit_s: float = LIMIT_S) -> TemplateCheck:
    """Whether a file's template (the value of `TEMPLATE_KEY`) writes what coalm-lite writes; takes up to `limit_s`."""
    if not text:
        return TemplateCheck("missing", "the file has no chat template")
    if len(text.encode(errors="replace")) > _MAX_BYTES:
        return TemplateCheck("hostile", f"it has more than {_MAX_BYTES} bytes")
    try:
        done = _run_child(text, limit_s)
    except subprocess.TimeoutExpired:
        return TemplateCheck("hostile", f"it was not done after {limit_s:g} s")
    except OSError as error:
        return TemplateCheck("fails", f"the process to try it in cannot be started: {error.strerror}")
    if done.returncode:
        return TemplateCheck("hostile", f"its process ended with {done.returncode}, over a limit or by a crash")
    return _judged(done.stdout)


def _run_child(text: str, limit_s: float) -> subprocess.CompletedProcess[bytes]:
    request = {
        "template": text,
        "conversations": [[{"role": role, "content": said} for role, said in each] for each in _CONVERSATIONS],
        "bos_token": BEGIN_OF_TEXT,
        "eos_token": END_OF_TURN,
    }
    return subprocess.run(
        _child_command(),
        input=json.dumps(request).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=limit_s,
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        check=False,
    )


def _child_command() -> list[str]:
    if getattr(sys, "frozen", False):
        return child_command(f"coalm_lite.runtime.{_CHILD.stem}")
    return [sys.executable, "-P", str(_CHILD)]  # -P: modules of this folder stay out of the child's path


def _judged(output: bytes) -> TemplateCheck:
    """The check's outcome from the child's answer, which is as little trusted as the template."""
    try:
        answer = json.loads(output)
        kind, problem, texts = str(answer["kind"]), str(answer["problem"]), [str(text) for text in answer["texts"]]
    except (ValueError, KeyError, TypeError):
        return TemplateCheck("hostile", "its process gave no proper answer")
    if kind == "rendered" and len(texts) == len(_CONVERSATIONS):
        return _compared(texts)
    return TemplateCheck("fails" if kind == "fails" else "hostile", _safe(problem))


def _safe(text: str) -> str:
    """A template's own words, without what a terminal would obey, and not too many."""
    plain = "".join(character if character.isprintable() else " " for character in text[:_SHOWN_CHARACTERS])
    return plain if len(text) <= _SHOWN_CHARACTERS else f"{plain}..."


def _compared(texts: Sequence[str]) -> TemplateCheck:
    for number, (conversation, text) in enumerate(zip(_CONVERSATIONS, texts, strict=True), start=1):
        expected = wrapped(conversation)
        if text != expected:
            pairs = enumerate(zip(text, expected, strict=False))
            at = next((place for place, (got, due) in pairs if got != due), min(len(text), len(expected)))
            return TemplateCheck(
                "different",
                f"sample conversation {number}, character {at}: it writes {quoted(text[at:])} "
                f"where coalm-lite writes {quoted(expected[at:])}",
            )
    return TemplateCheck("same")


def wrapped(conversation: Conversation) -> str:
    """The conversation in CoALM's Llama 3 wrapper, open for the assistant's words."""
    turns = "".join(f"{_opening(role)}{said}{END_OF_TURN}" for role, said in conversation)
    return f"{BEGIN_OF_TEXT}{turns}{_opening('assistant')}"


def _opening(role: str) -> str:
    return "".join(segment.text for segment in header(role))
