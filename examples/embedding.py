"""A model inside a program: it calls a function of the program and answers in words. Runs as it is, offline."""

from coalm_lite import Assistant, CallStarted, TextDelta


def find_hotels(area: str) -> dict[str, object]:
    """Find hotels in a part of town."""
    hotel = {"name": "Alm Lodge", "type": "hotel", "area": area, "pricerange": "cheap", "stars": 4}
    return {"count": 1, "hotels": [hotel]}


with Assistant("nano", tools=[find_hotels]) as assistant:
    for event in assistant.send("I need a hotel in the north."):
        if isinstance(event, CallStarted):
            print(event.call)
        elif isinstance(event, TextDelta):
            print(event.text, end="", flush=True)
print()
