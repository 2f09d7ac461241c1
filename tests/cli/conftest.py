"""The command line run in this process, on the real tiny model or on a scripted one."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from coalm_lite.cli import main
from coalm_lite.runtime.scripted import ScriptedEngine
from tests.cli.outcome import Outcome
from tests.gguf_models import tiny_model

__all__ = ["tiny_model"]

HOTELS = """\
def find_hotels(area: str, stars: int = 0) -> dict[str, object]:
    \"\"\"Find hotels.\"\"\"
    return {"hotels": [f"The {area} inn"], "stars": stars}


def book(name: str) -> str:
    \"\"\"Book a hotel.\"\"\"
    if name == "full":
        raise ValueError("no room is left")
    return "RX7"
"""


class ScriptedModels:
    """An engine factory; `engines` are those that it opened, `opened` what it was asked for."""

    def __init__(self, replies: Sequence[str], context_tokens: int) -> None:
        self._replies = replies
        self._context_tokens = context_tokens
        self.engines: list[ScriptedEngine] = []
        self.opened: list[dict[str, object]] = []

    def __call__(
        self, path: Path, *, context_tokens: int | None, threads: int | None, gpu_layers: int | None
    ) -> ScriptedEngine:
        self.opened.append({"path": path, "context": context_tokens, "threads": threads, "gpu_layers": gpu_layers})
        self.engines.append(ScriptedEngine(self._replies, context_tokens or self._context_tokens))
        return self.engines[-1]


def scripted(*replies: str, context_tokens: int = 16384) -> ScriptedModels:
    """Models that give `replies`, whatever they are asked."""
    return ScriptedModels(replies, context_tokens)


CommandLine = Callable[..., Outcome]


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs `coalm-lite` with arguments, a standard input that is no terminal, and perhaps scripted models."""

    def run(*arguments: str, stdin: str | bytes = "", models: ScriptedModels | None = None) -> Outcome:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        with pytest.raises(SystemExit) as exited:
            main(arguments, models)
        captured = capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return Outcome(exited.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def hotels(tmp_path: Path) -> Path:
    """A file of two tools."""
    path = tmp_path / "hotels.py"
    path.write_text(HOTELS)
    return path
