from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite import models
from coalm_lite.cli.invocation import open_local
from coalm_lite.cli.open_model import open_model
from coalm_lite.cli.options import SessionOptions
from coalm_lite.errors import CoalmError, DecodingError, SchemaError, ToolError, UsageError
from coalm_lite.runtime.base import Cancel
from coalm_lite.types import Sampling
from tests.cli.conftest import ScriptedModels, scripted

OPTIONS = SessionOptions(
    model="m.gguf",
    tools=(),
    database=None,
    system="",
    dialect=None,
    max_steps=8,
    sampling=Sampling(),
    context_tokens=None,
    threads=None,
    gpu_layers=None,
)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the file of the embedded model; the scripted engine does not read it."""
    monkeypatch.setattr(models, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "coalm-nano.Q8_0.gguf").touch()


def tool_names(options: SessionOptions) -> list[str]:
    with open_model(options, None, scripted()) as opened:
        return [spec.name for spec in opened.session.tools.specs]


def test_a_path_has_no_tools_and_the_embedded_model_has_the_demo(shipped: None) -> None:
    assert tool_names(OPTIONS) == []
    assert "find_hotels" in tool_names(replace(OPTIONS, model="nano"))
    assert tool_names(replace(OPTIONS, model="nano", tools=("none",))) == []


def test_tools_of_several_sources_come_together_and_a_repeated_source_counts_once(hotels: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text("def weather(day: str) -> str:\n    return 'sun'\n")
    options = replace(OPTIONS, tools=(str(hotels), str(other), str(hotels)))
    assert tool_names(options) == ["find_hotels", "book", "weather"]


def test_the_demo_keeps_its_bookings_in_the_given_file(tmp_path: Path) -> None:
    options = replace(OPTIONS, tools=("demo",), database=tmp_path / "b.sqlite3")
    with open_model(options, None, scripted("Action: my_bookings()", "System: None.")) as opened:
        list(opened.session.send("what did I book?"))
    assert (tmp_path / "b.sqlite3").is_file()


def test_options_reach_engine_and_session() -> None:
    opener = scripted()
    options = replace(
        OPTIONS, context_tokens=512, threads=3, gpu_layers=0, system="Be brief.", max_steps=2, dialect="hammer"
    )
    with open_model(options, None, opener) as opened:
        session = opened.session
        assert (session.system, session.max_steps, session.dialect.NAME) == ("Be brief.", 2, "hammer")
    assert opener.opened == [{"path": Path("m.gguf"), "context": 512, "threads": 3, "gpu_layers": 0}]


@pytest.mark.parametrize(
    ("named", "used"), [("", "cra"), ("hammer", "hammer"), (" dst , cra", "dst"), ("latin,bfcl", "bfcl"), ("x", "cra")]
)
def test_the_dialect_is_the_first_known_one_that_the_model_names(tiny_model: Path, named: str, used: str) -> None:
    opener = scripted()

    def naming(path: Path, *, context_tokens: int | None, threads: int | None, gpu_layers: int | None) -> object:
        engine = opener(path, context_tokens=context_tokens, threads=threads, gpu_layers=gpu_layers)
        engine._info = replace(engine._info, metadata={"coalm.dialects": named})
        return engine

    with open_model(OPTIONS, None, naming) as opened:
        assert used == opened.session.dialect.NAME
    with open_model(replace(OPTIONS, dialect="bfcl"), None, naming) as opened:
        assert opened.session.dialect.NAME == "bfcl"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"tools": ("none", "demo")}, UsageError, "--tools none stands beside other tools"),
        ({"database": Path("b.db")}, UsageError, "--database is for the demo tools"),
        ({"tools": ("no.py",)}, ToolError, "cannot read the tools file no.py"),
        ({"sampling": Sampling(top_p=2.0)}, UsageError, "top_p is 2.0"),
        ({"model": "naano"}, UsageError, "no model called 'naano'"),
    ],
)
def test_what_is_wrong_is_told_before_the_model_is_loaded(
    change: dict[str, object], kind: type[CoalmError], message: str
) -> None:
    opener = scripted()
    with pytest.raises(kind) as raised, open_model(replace(OPTIONS, **change), None, opener):
        pass
    assert message in raised.value.message
    assert raised.value.hint
    assert not opener.opened


def ended(opener: ScriptedModels) -> bool:
    with pytest.raises(DecodingError, match="closed"):
        opener.engines[0].prefill([1], Cancel())
    return True


@pytest.mark.parametrize("leave", [lambda: None, lambda: 1 / 0], ids=["normally", "by an error"])
def test_the_engine_is_closed_at_the_end(leave: Callable[[], object]) -> None:
    opener = scripted()
    try:
        with open_model(OPTIONS, None, opener):
            leave()
    except ZeroDivisionError:
        pass
    assert ended(opener)


def test_the_engine_is_closed_when_a_schema_is_refused(tmp_path: Path) -> None:
    tools = tmp_path / "tools.py"
    tools.write_text(
        "from typing import Annotated\nfrom pydantic import Field\n"
        "def code(value: Annotated[int, Field(ge=3, le=2)]) -> int:\n    return value\n"
    )
    opener = scripted()
    with pytest.raises(SchemaError, match="maximum"), open_model(replace(OPTIONS, tools=(str(tools),)), None, opener):
        pass
    assert ended(opener)


def test_the_usual_engine_is_llama_cpp_with_the_models_own_context(tiny_model: Path) -> None:
    with open_model(replace(OPTIONS, model=str(tiny_model), threads=1), None, open_local) as opened:
        assert opened.session.desk.info.context_tokens == 2048
        assert opened.model_name == tiny_model.name
