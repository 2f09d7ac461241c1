"""Single requests with the call that each must get, and small talk that must get none.

Written apart from nano/phrases.py, with other words and without looking at what the model does; never trained on.
"""

from __future__ import annotations

from coalm_lite.types import JsonValue, ToolCall


def _call(tool: str, /, **arguments: JsonValue) -> ToolCall:
    return ToolCall(tool, arguments)


REQUESTS: tuple[tuple[str, ToolCall], ...] = (
    ("a cheap hotel in the north", _call("find_hotels", area="north", pricerange="cheap")),
    ("I need a cheap hotel in the north with parking", _call("find_hotels", area="north", pricerange="cheap", parking=True)),
    ("Are there any expensive hotels in the centre?", _call("find_hotels", area="centre", pricerange="expensive")),
    ("We're visiting for the weekend and want a guest house in the east.", _call("find_hotels", area="east", type="guest house")),
    ("Could you tell me about moderately priced hotels?", _call("find_hotels", pricerange="moderate")),
    ("hotel with free wifi in the south", _call("find_hotels", area="south", internet=True)),
    ("I want to sleep somewhere cheap with parking and wifi", _call("find_hotels", pricerange="cheap", parking=True, internet=True)),
    ("a 4 star hotel please", _call("find_hotels", stars=4)),
    ("find me a five star place to stay in the west", _call("find_hotels", area="west", stars=5)),
    ("My family needs a guesthouse with parking.", _call("find_hotels", type="guest house", parking=True)),
    ("an Indian restaurant in the centre", _call("find_restaurants", area="centre", food="indian")),
    ("Where can I eat Italian food?", _call("find_restaurants", food="italian")),
    ("I'd love some cheap Chinese food tonight", _call("find_restaurants", pricerange="cheap", food="chinese")),
    ("expensive French restaurant in the south of town", _call("find_restaurants", area="south", pricerange="expensive", food="french")),
    ("is there a Thai place in the west?", _call("find_restaurants", area="west", food="thai")),
    ("I am hungry, any cheap restaurant in the east?", _call("find_restaurants", area="east", pricerange="cheap")),
    ("Looking for a restaurant serving Turkish food in the north", _call("find_restaurants", area="north", food="turkish")),
    ("Can you suggest a Japanese restaurant that is moderately priced?", _call("find_restaurants", pricerange="moderate", food="japanese")),
    ("restaurants in the north", _call("find_restaurants", area="north")),
    ("we'd like a vegetarian restaurant", _call("find_restaurants", food="vegetarian")),
    ("a museum in the centre", _call("find_attractions", area="centre", type="museum")),
    ("What is there to see in the west? An attraction maybe", _call("find_attractions", area="west")),
    ("is there a park in the south", _call("find_attractions", area="south", type="park")),
    ("I want to go to the theatre", _call("find_attractions", type="theatre")),
    ("any swimming pool in the north?", _call("find_attractions", area="north", type="swimming pool")),
    ("show me a nightclub", _call("find_attractions", type="nightclub")),
    ("a train to Quillhaven on Saturday after 09:00", _call("find_trains", destination="Quillhaven", day="saturday", leave_at="09:00")),
    ("I need a train from Marlowick to Brindlesea on Monday", _call("find_trains", departure="Marlowick", destination="Brindlesea", day="monday")),
    ("Is there a train to Tilverton that arrives by 12:30 on Friday?", _call("find_trains", destination="Tilverton", day="friday", arrive_by="12:30")),
    ("when does the train from Pennerby to Marlowick leave on Sunday after 14:00", _call("find_trains", departure="Pennerby", destination="Marlowick", day="sunday", leave_at="14:00")),
    ("train to Hobberley on Wednesday after 7 am", _call("find_trains", destination="Hobberley", day="wednesday", leave_at="07:00")),
    ("Get me a train from Copperwell to Marlowick on Thursday arriving before 18:15", _call("find_trains", departure="Copperwell", destination="Marlowick", day="thursday", arrive_by="18:15")),
    ("I need a taxi from Larkspur Grand to Quillhaven at 17:30", _call("book_taxi", departure="Larkspur Grand", destination="Quillhaven", leave_at="17:30")),
    ("A cab from Pebble House to Harmony Hall, leaving after 20:00 please", _call("book_taxi", departure="Pebble House", destination="Harmony Hall", leave_at="20:00")),
    ("taxi from Skylark Tower to Mint Pavilion to arrive by 19:45", _call("book_taxi", departure="Skylark Tower", destination="Mint Pavilion", arrive_by="19:45")),
    ("Book Juniper Lodge for 2 people for 3 nights from Tuesday", _call("book_hotel", name="Juniper Lodge", people=2, day="tuesday", stay=3)),
    ("please reserve a table at Saffron Window for 4 on Friday at 19:00", _call("book_restaurant", name="Saffron Window", people=4, day="friday", time="19:00")),
    ("I want to stay at Candlewick House for two nights from Sunday, one person", _call("book_hotel", name="Candlewick House", people=1, day="sunday", stay=2)),
    ("Which bookings have I made so far?", _call("my_bookings")),
    ("list my reservations", _call("my_bookings")),
)  # fmt: skip

SMALL_TALK = (
    "Hello", "hi there!", "Good morning to you", "Hey, how is it going?", "thanks", "Thank you so much for your help!",
    "Many thanks, goodbye", "bye bye", "That's everything, thank you", "You are very kind", "hello again",
    "good evening", "thank you, have a nice day", "ok, great, thanks", "No thanks, that is all for now",
)  # fmt: skip
