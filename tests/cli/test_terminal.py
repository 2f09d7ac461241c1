"""`coalm-lite chat` on a real pseudo terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coalm_lite.models import shipped_model_path

pexpect = pytest.importorskip("pexpect")
if os.name == "nt":
    pytest.skip("pexpect.spawn needs POSIX", allow_module_level=True)

# Tools of earlier tests may have left threads behind; the fork here only starts a program.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
TIMEOUT_S = 60  # only a bound on a hang: the machine may be busy
ROOT = Path(__file__).parents[2]
SHIPPED = shipped_model_path("coalm-nano.Q8_0.gguf")


class Chat:
    """A chat in a pseudo terminal."""

    def __init__(self, *arguments: str, term: str = "xterm", width: int = 80, module: str = "coalm_lite.cli") -> None:
        environment = os.environ | {"TERM": term, "COLUMNS": str(width)}
        command = ["-m", module, "chat", *arguments, "--threads", "1"]
        self.child = pexpect.spawn(
            sys.executable,
            command,
            cwd=ROOT,
            env=environment,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            dimensions=(24, width),
        )

    def see(self, *words: str) -> None:
        for word in words:
            self.child.expect_exact(word)

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def ended(self) -> int:
        self.child.expect(pexpect.EOF)
        self.child.close()
        return int(self.child.exitstatus)


@pytest.fixture
def chats() -> Iterator[list[Chat]]:
    opened: list[Chat] = []
    yield opened
    for chat in opened:
        chat.child.close(force=True)


@pytest.mark.parametrize(("term", "width"), [("xterm", 80), ("dumb", 30)])
def test_a_chat_starts_answers_obeys_and_quits(tiny_model: Path, chats: list[Chat], term: str, width: int) -> None:
    chat = Chat(str(tiny_model), "--max-tokens", "6", term=term, width=width)
    chats.append(chat)
    chat.see("tiny.gguf (cra, ", "no tools", "/help lists", "> ")
    chat.type("hello\r")
    chat.see("error: ", "hint: ", "> ")  # its weights are random: six tokens of it are no step
    chat.type("/stats\r")
    chat.see("nothing was answered yet", "> ")
    chat.type("/quit\r")
    chat.see("bye")
    assert chat.ended() == 0


def test_ctrl_c_stops_an_answer_and_keeps_the_chat_and_ctrl_d_leaves_it(chats: list[Chat]) -> None:
    chat = Chat("m.gguf", "--max-tokens", "1000000", module="tests.cli.endless_program")
    chats.append(chat)
    chat.see("/help lists", "> ")
    chat.type("hello\r")
    chat.see("a word and another one")
    chat.type("\x03")
    chat.see("stopped", "> ")
    chat.type("/stats\r")
    chat.see("all 1 turns", "> ")
    chat.type("\x03")
    chat.see("Ctrl-C again or Ctrl-D quits")
    chat.type("\x04")
    assert chat.ended() == 0


@pytest.mark.skipif(not SHIPPED.is_file(), reason="the embedded model is not built yet")
def test_the_embedded_model_asks_before_it_calls_a_demo_tool(chats: list[Chat], tmp_path: Path) -> None:
    chat = Chat("--database", str(tmp_path / "town.sqlite3"))
    chats.append(chat)
    chat.see("nano, the embedded model (cra, 2048 tokens)", "9 tools, each call asked about first", "> ")
    chat.type("I need a cheap hotel in the north\r")
    chat.see("find_hotels(", "Run find_hotels?")
    chat.type("y\r")
    chat.see("result", "> ")
    chat.type("/quit\r")
    assert chat.ended() == 0
    assert (tmp_path / "town.sqlite3").is_file()
