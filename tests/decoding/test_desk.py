"""A desk: what a session asks of a model, from an engine of this process."""

from __future__ import annotations

from coalm_lite.decoding.desk import Desk, EngineDesk, desk_of
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.scripted import ScriptedEngine


def test_an_engine_gets_a_desk_and_a_desk_stays_itself() -> None:
    with ScriptedEngine(["hello"]) as engine:
        desk = desk_of(engine)
        assert isinstance(desk, EngineDesk)
        assert desk_of(desk) is desk
        assert isinstance(desk, Desk)
        assert not isinstance(engine, Desk)


def test_a_desk_answers_as_its_engine_does() -> None:
    with ScriptedEngine(["hello"]) as engine:
        desk = EngineDesk(engine)
        parts = list(desk.answer(Request([1, 2, 3])))
        last = parts[-1]
        assert isinstance(last, Generated)
        assert last.text == "hello" == "".join(part.text for part in parts[:-1])
        assert desk.ready([1, 2, 3], Cancel()) == "off"
