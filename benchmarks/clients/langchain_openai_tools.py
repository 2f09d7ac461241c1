"""LangChain's ChatOpenAI with bind_tools against `coalm-lite serve`: invoke, stream, ainvoke, structured output.

    pip install langchain-openai  # in an environment of its own
    python langchain_openai_tools.py URL KEY

Prints one JSON line; exit code 1 where something is not as it must be.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Literal

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

ASKED = HumanMessage("a cheap hotel in the north with parking")
FOUND = {"name": "Juniper Lodge", "type": "guest house", "area": "north", "pricerange": "cheap", "stars": 2}
FOUND |= {"parking": True, "internet": True, "phone": "01632 960102"}
RESULT = json.dumps({"count": 1, "hotels": [FOUND]})


@tool
def find_hotels(
    area: Literal["centre", "east", "north", "south", "west"],
    pricerange: Literal["cheap", "moderate", "expensive"],
    parking: bool = False,
) -> str:
    """Find hotels of the town."""
    return RESULT


class Table(BaseModel):
    """A table that is wanted."""

    name: str
    people: int
    day: str
    time: str


def main() -> None:
    """All of it."""
    url, key = sys.argv[1:3]
    model = ChatOpenAI(model="nano", base_url=url, api_key=key, max_retries=0)
    bound = model.bind_tools([find_hotels])
    called = bound.invoke([ASKED])
    check(called)
    result = find_hotels.invoke(called.tool_calls[0]["args"])
    said = bound.invoke([ASKED, called, ToolMessage(result, tool_call_id=called.tool_calls[0]["id"])])
    assert "Juniper Lodge" in said.content, said
    whole = None
    for chunk in bound.stream([ASKED]):
        whole = chunk if whole is None else whole + chunk
    check(whole)
    check(asyncio.run(bound.ainvoke([ASKED])))
    for choice in ("find_hotels", "any"):
        forced = model.bind_tools([find_hotels], tool_choice=choice).invoke("hello")
        assert forced.tool_calls[0]["name"] == "find_hotels", forced
    for method in ("json_schema", "function_calling"):
        structured = model.with_structured_output(Table, method=method)
        table = structured.invoke("Book a table at Bella for 4 people on friday at 19:00.")
        assert table == Table(name="Bella", people=4, day="friday", time="19:00"), (method, table)
    print(json.dumps({"client": f"langchain-openai {version('langchain-openai')}", "parts": 8, "passed": True}))


def check(message: object) -> None:
    """The call that is wanted."""
    (call,) = message.tool_calls  # type: ignore[attr-defined]
    assert (call["name"], call["args"]["area"], call["args"]["pricerange"]) == ("find_hotels", "north", "cheap"), call


if __name__ == "__main__":
    main()
