from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coalm_lite import dialects
from coalm_lite.converters.checks.canned import CONVERSATIONS, canned_request, whole_prompt
from coalm_lite.converters.checks.canned_call import canned_call
from coalm_lite.decoding.generate import Generated, generate
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Sampling
from tests.gguf_models import engine, tiny_model, write_tiny_model

__all__ = ["engine", "tiny_model"]


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("name", dialects.NAMES)
def test_random_weights_make_a_valid_call_in_every_dialect(engine: LlamaEngine, name: str, short: bool) -> None:
    found = canned_call(engine, name, short, Cancel())
    assert (found.problem, found.not_called) == ("", "")
    calls = dialects.get(name).parse(found.text).calls
    assert calls
    assert {call.name for call in calls} == {"reserve"}
    assert all(call.arguments["people"] in (2, 4, 6) for call in calls)


def test_without_the_grammar_they_make_none(engine: LlamaEngine) -> None:
    """The check is worth something: what is free comes out as no call."""
    request = canned_request(dialects.get("cra"), True)
    tokens = engine.tokenize(request.prompt)
    *_, done = generate(engine, tokens, Sampling(max_tokens=40), None, Cancel())
    assert isinstance(done, Generated)
    assert "reserve(" not in done.text


def test_the_embedded_model_reserves_what_was_asked_for() -> None:
    with LlamaEngine.load(shipped_model_path("coalm-nano.Q8_0.gguf"), threads=1) as nano:
        assert canned_call(nano, "cra", True, Cancel()).text == "Action: reserve(people=4, day='saturday')"


def test_weights_that_are_no_numbers_are_a_problem(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "nan.gguf", layers=1)
    data = bytearray(path.read_bytes())
    data[-4:] = np.array([np.nan], dtype="<f4").tobytes()  # output.weight comes last
    path.write_bytes(data)
    with LlamaEngine.load(path, threads=1) as broken:
        found = canned_call(broken, "cra", True, Cancel())
    assert "no number" in found.problem


def test_a_context_that_is_too_small_is_no_fault_of_the_model(tiny_model: Path) -> None:
    with LlamaEngine.load(tiny_model, threads=1, context_tokens=256) as small:
        found = canned_call(small, "hammer", False, Cancel())
    assert (found.text, found.problem) == ("", "")
    assert "256 are available" in found.not_called


@pytest.mark.parametrize("name", dialects.NAMES)
def test_every_reply_is_one_that_the_dialect_reads(name: str) -> None:
    dialect = dialects.get(name)
    for conversation in CONVERSATIONS:
        prompt = whole_prompt(conversation, dialect, True)
        assert prompt[-1].marker
        reply = dialect.parse(prompt[-2].text)
        assert [call.name for call in reply.calls] == [call.name for call in conversation.reply.calls]
