"""The official `openai` Python client against `coalm-lite serve`: calls of tools, synchronous, streamed, async.

    pip install openai            # in an environment of its own
    coalm-lite serve nano --json  # tells URL and KEY
    python openai_python.py URL KEY

Prints one JSON line; exit code 1 where something is not as it must be. town_tools.json beside it is the demo town's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import openai

TOOLS = json.loads((Path(__file__).parent / "town_tools.json").read_text())
ASKED = "a cheap hotel in the north with parking"
FOUND = {"name": "Juniper Lodge", "type": "guest house", "area": "north", "pricerange": "cheap", "stars": 2}
FOUND |= {"parking": True, "internet": True, "phone": "01632 960102"}
RESULT = json.dumps({"count": 1, "hotels": [FOUND]})
CALL = {"area": "north", "pricerange": "cheap", "parking": True}


def sync(client: openai.OpenAI) -> None:
    """A call, its result, the answer."""
    messages: list = [{"role": "user", "content": ASKED}]
    reply = client.chat.completions.create(model="nano", messages=messages, tools=TOOLS).choices[0]
    assert reply.finish_reason == "tool_calls", reply
    (call,) = reply.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("find_hotels", CALL)
    messages += [reply.message, {"role": "tool", "tool_call_id": call.id, "content": RESULT}]
    said = client.chat.completions.create(model="nano", messages=messages, tools=TOOLS).choices[0].message.content
    assert "Juniper Lodge" in said, said


def streamed(client: openai.OpenAI) -> None:
    """The same through the client's own accumulation of a stream."""
    messages: list = [{"role": "user", "content": ASKED}]
    with client.chat.completions.stream(
        model="nano", messages=messages, tools=TOOLS, stream_options={"include_usage": True}
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds, kinds
    assert final.usage.completion_tokens > 0
    message = final.choices[0].message
    assert json.loads(message.tool_calls[0].function.arguments) == CALL
    assistant = message.model_dump(include={"role", "tool_calls"}, exclude_none=True)
    messages += [assistant, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": RESULT}]
    chunks = client.chat.completions.create(model="nano", messages=messages, tools=TOOLS, stream=True)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "Juniper Lodge" in said, said


async def concurrent(url: str, key: str) -> None:
    """Eight at once."""
    async with openai.AsyncOpenAI(base_url=url, api_key=key) as client:
        asked = client.chat.completions.create
        said = [{"role": "user", "content": ASKED}]
        replies = await asyncio.gather(*(asked(model="nano", messages=said, tools=TOOLS) for _ in range(8)))
    assert all(json.loads(reply.choices[0].message.tool_calls[0].function.arguments) == CALL for reply in replies)


def errors(client: openai.OpenAI) -> None:
    """Ours are the client's own kinds of error."""
    said: list = [{"role": "user", "content": ASKED}]
    for kind, more in ((openai.BadRequestError, {"n": 2}), (openai.NotFoundError, {"model": "gpt"})):
        try:
            client.chat.completions.create(**{"model": "nano", "messages": said, **more})
        except kind as error:
            assert error.param in ("n", "model"), error
        else:
            raise AssertionError(f"{more} was taken")
    try:
        client.with_options(api_key="wrong").models.list()
    except openai.AuthenticationError:
        return
    raise AssertionError("a wrong key was taken")


def structured(client: openai.OpenAI) -> None:
    """The client's `parse` with a pydantic model."""
    from pydantic import BaseModel

    class Table(BaseModel):
        name: str
        people: int
        day: str
        time: str

    said: list = [{"role": "user", "content": "Book a table at Bella for 4 people on friday at 19:00."}]
    parsed = client.chat.completions.parse(model="nano", messages=said, response_format=Table).choices[0].message.parsed
    assert parsed == Table(name="Bella", people=4, day="friday", time="19:00"), parsed


def main() -> None:
    """All of it."""
    url, key = sys.argv[1:3]
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["nano"]
        for part in (sync, streamed, errors, structured):
            part(client)
    asyncio.run(concurrent(url, key))
    print(json.dumps({"client": f"openai {openai.__version__} (Python)", "parts": 5, "passed": True}))


if __name__ == "__main__":
    main()
