"""Several desks as one: requests go where they are best off, and what is told is of all together."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace

import pytest

from coalm_lite.app.desk_group import DeskGroup, engines_for, open_group
from coalm_lite.app.desks import AppDesk
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.shared import SharedDesk
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.errors import DecodingError, ModelTooLargeError
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Sampling

NANO = shipped_model_path("coalm-nano.Q8_0.gguf")
SPEC = ModelSpec(path=NANO, context_tokens=512, sequences=2)


def desk() -> SharedDesk:
    return SharedDesk(LlamaEngine.load(NANO, context_tokens=512, threads=1))


def request(words: int, start: int = 300) -> Request:
    return Request([start + place for place in range(words)], Sampling(max_tokens=8))


def last(group: AppDesk, asked: Request) -> Generated:
    *_, end = group.answer(asked)
    assert isinstance(end, Generated)
    return end


def test_a_prompt_goes_to_the_desk_that_computed_its_beginning() -> None:
    with DeskGroup([desk(), desk()]) as group:
        first, other = request(60), request(60, start=900)
        assert last(group, first).timings.reused_tokens == 0
        assert last(group, other).timings.reused_tokens == 0
        longer = replace(first, prompt=[*first.prompt, 7, 8, 9])
        assert last(group, longer).timings.reused_tokens >= 59
        assert [len(asked) for asked in group._asked] == [2, 1]
        state = group.state
        assert (state.answered, state.sequences, state.loaded) == (3, 2, True)
        assert state.prompt_tokens == 60 + 60 + 63


def test_a_desk_with_work_is_passed_by() -> None:
    with DeskGroup([desk(), desk()]) as group:
        with closing(group.answer(replace(request(40), sampling=Sampling(max_tokens=400)))) as running:
            next(running)
            busy = group._in_work.index(1)
            last(group, request(40))
            assert len(group._asked[1 - busy]) == 1
        assert group._in_work == [0, 0]


def test_answers_are_those_of_one_desk() -> None:
    asked = [request(20 + count, start=400 + 10 * count) for count in range(6)]
    with desk() as one:
        expected = [last(one, each).tokens for each in asked]
    with DeskGroup([desk(), desk()]) as group:
        found: dict[int, tuple[int, ...]] = {}
        threads = [
            threading.Thread(target=lambda n=n: found.update({n: last(group, asked[n]).tokens}))  # type: ignore[misc]
            for n in range(len(asked))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [found[n] for n in range(len(asked))] == expected


def test_a_closed_group_says_so() -> None:
    group = DeskGroup([desk(), desk()])
    group.close()
    with pytest.raises(DecodingError, match="closed"):
        last(group, request(5))


def test_a_small_model_has_as_many_engines_as_it_may_use_cores_and_answers() -> None:
    assert engines_for(replace(SPEC, threads=2)) == 2
    assert engines_for(replace(SPEC, threads=8, sequences=3)) == 3
    assert engines_for(replace(SPEC, threads=1)) == 1


@pytest.mark.parametrize("isolate", [True, False])
def test_engines_share_the_answers_and_the_memory_that_is_allowed(isolate: bool) -> None:
    with open_group(replace(SPEC, sequences=3), 2, isolate=isolate) as group:
        assert group.state.sequences == 4
        assert last(group, request(12)).tokens
    with pytest.raises(ModelTooLargeError):
        open_group(replace(SPEC, max_memory_bytes=2 << 20), 2, isolate=isolate)


def test_one_engine_is_a_desk_with_all_that_the_spec_says() -> None:
    with open_group(replace(SPEC, sequences=3), 1, isolate=False) as alone:
        assert isinstance(alone, SharedDesk)
        assert alone.state.sequences == 3
