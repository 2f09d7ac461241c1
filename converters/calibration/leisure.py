"""Functions for calibration conversations: home, travel, media and the like."""

from __future__ import annotations

from coalm_lite.converters.calibration.tools import (
    CITIES,
    CODES,
    DATES,
    DAYS,
    PEOPLE,
    PRICES,
    ROOMS,
    SMALL,
    TIMES,
    Function,
    Slot,
    Values,
)

HOME = (
    Function(
        "set_light",
        "Switch or dim a room's light.",
        (
            Slot("room", "Which room", ROOMS, closed=True),
            Slot("on", "On or off", (True,), required=False),
            Slot("brightness", "Brightness, 0 to 100", (5, 20, 40, 75, 100)),
            Slot("color", "Colour of the light", ("warm white", "blue", "amber"), required=False),
        ),
        (
            "Set the {room} light to {brightness} percent.",
            "make the {room} {color}, brightness {brightness}",
            "Dim the light in the {room}.",
        ),
        {"state": ("ok",)},
        ("The {room} light is at {brightness} percent.",),
    ),
    Function(
        "set_thermostat",
        "Set a room's temperature.",
        (
            Slot("room", "Which room", ROOMS, closed=True),
            Slot("celsius", "Wanted temperature", (16, 18.5, 20, 21.5, 23)),
            Slot("until", "HH:MM, when it ends", TIMES, required=False),
        ),
        (
            "Heat the {room} to {celsius} degrees.",
            "{room} at {celsius} until {until}, please",
            "It's cold in the {room}.",
        ),
        {"current": (15.2, 17.9, 19.4), "state": ("heating", "idle")},
        ("The {room} has {current} degrees now and will get to {celsius}.",),
    ),
    Function(
        "start_vacuum",
        "Let the robot clean.",
        (
            Slot("rooms", "Rooms to clean", (["kitchen"], ["hall", "study"], ["bedroom", "living room", "hall"])),
            Slot("mode", "How thoroughly", ("quiet", "normal", "strong"), required=False, closed=True),
        ),
        ("Vacuum {rooms}.", "clean {rooms} in {mode} mode", "Start cleaning, please."),
        {"minutes": (12, 25, 48), "battery": (34, 71, 100)},
        ("It will take {minutes} minutes; the battery is at {battery} percent.",),
    ),
    Function(
        "lock_door",
        "Lock or unlock a door.",
        (
            Slot("door", "Which door", ("front door", "back door", "garage door"), closed=True),
            Slot("action", "What to do", ("lock", "unlock"), closed=True),
        ),
        ("Please {action} the {door}.", "can you {action} the {door} for me?", "{action} the {door} now"),
        {"state": ("locked", "unlocked"), "at": TIMES},
        ("The {door} is {state}.", "Done, the {door} has been {state} since {at}."),
    ),
)

TRAVEL = (
    Function(
        "search_flights",
        "Find flights.",
        (
            Slot("origin", "City of departure", CITIES[:5]),
            Slot("destination", "City of arrival", CITIES[5:]),
            Slot("date", "YYYY-MM-DD", DATES),
            Slot("passengers", "How many fly", SMALL[:5], required=False),
            Slot("cabin", "Class", ("economy", "premium", "business"), required=False, closed=True),
        ),
        (
            "Find a flight from {origin} to {destination} on {date}.",
            "{passengers} people want to fly {origin} - {destination} on {date}",
            "I need a {cabin} seat from {origin} to {destination}, {date}.",
            "I'd like to fly from {origin} to {destination}.",
        ),
        {"flight": ("QT 418", "NV 77", "LB 2031"), "departs": TIMES, "price": PRICES[3:]},
        ("Flight {flight} leaves {origin} at {departs} on {date} and costs {price}.", "There is {flight} for {price}."),
    ),
    Function(
        "book_room",
        "Book a hotel room.",
        (
            Slot("hotel", "Name of the hotel", ("The Harbour", "Casa Verde", "Pine Lodge", "Old Mill Inn")),
            Slot("check_in", "YYYY-MM-DD", DATES),
            Slot("nights", "How many", SMALL[:5]),
            Slot("guests", "How many", SMALL[:4], required=False),
            Slot("breakfast", "With breakfast", (True, False), required=False),
        ),
        (
            "Book {nights} nights at {hotel} from {check_in}.",
            "a room at {hotel} for {guests} on {check_in}, {nights} nights",
            "Reserve {hotel} for {nights} nights.",
        ),
        {"confirmation": CODES, "total": PRICES[4:]},
        ("{hotel} is booked from {check_in} for {nights} nights: {confirmation}, {total} in all.",),
    ),
    Function(
        "find_connection",
        "Train or bus between two places.",
        (
            Slot("start", "Where from", ("Leeds", "Ghent", "Kyoto", "Oslo")),
            Slot("end", "Where to", ("York", "Bruges", "Nara", "Bergen")),
            Slot("arrive_by", "HH:MM", TIMES, required=False),
            Slot("kind", "Train or bus", ("train", "bus"), required=False, closed=True),
        ),
        (
            "How do I get from {start} to {end} by {arrive_by}?",
            "next {kind} {start} to {end}",
            "I must be in {end} at {arrive_by}, coming from {start}.",
            "When is the next train from {start}?",
        ),
        {"leaves": TIMES[:5], "arrives": TIMES[5:], "changes": (0, 1, 2), "platform": (1, 4, 9, 12)},
        ("Take the one at {leaves} from platform {platform}; it reaches {end} at {arrives}.", "{changes} changes."),
    ),
    Function(
        "translate_text",
        "Translate a text.",
        (
            Slot("text", "The text", ("Where is the station?", "Two coffees, please", "I am allergic to nuts")),
            Slot("language", "Target language", ("Portuguese", "Japanese", "Swahili", "Norwegian")),
        ),
        ("How do I say '{text}' in {language}?", "translate to {language}: {text}", "Translate '{text}' for me."),
        {"translation": ("Onde fica a estação?", "コーヒーを二つください", "Nina mzio wa karanga", "To kaffe, takk")},
        ("In {language}: {translation}",),
    ),
)

MEDIA = (
    Function(
        "play_music",
        "Play a song, an artist or a mood.",
        (
            Slot("query", "What to play", ("rainy day jazz", "The Tin Larks", "Blue Canal", "something for cooking")),
            Slot("room", "Where", ROOMS, required=False, closed=True),
            Slot("volume", "Volume, 0 to 100", (15, 30, 55, 80), required=False),
        ),
        ("Play {query}.", "play {query} in the {room}", "Put on {query}, volume {volume}."),
        {"playing": ("Blue Canal - Slow Ferry", "The Tin Larks - Ember", "Kettle Song")},
        ("Now playing: {playing}.",),
    ),
    Function(
        "find_recipe",
        "Find a recipe by ingredients.",
        (
            Slot(
                "ingredients", "What is at hand", (["leek", "potato"], ["chickpeas", "lemon"], ["rice", "egg", "peas"])
            ),
            Slot("max_minutes", "Longest cooking time", (15, 20, 40, 60), required=False),
            Slot("diet", "Only such recipes", ("vegan", "vegetarian", "gluten-free"), required=False, closed=True),
        ),
        (
            "What can I cook with {ingredients}?",
            "a {diet} recipe with {ingredients} in {max_minutes} minutes",
            "I have {ingredients} and {max_minutes} minutes. Ideas?",
        ),
        {"name": ("Leek soup", "Lemon chickpeas", "Egg fried rice"), "minutes": (14, 20, 35), "steps": (4, 6, 9)},
        ("{name} takes {minutes} minutes and {steps} steps.", "How about {name}?"),
    ),
    Function(
        "send_message",
        "Send a text message.",
        (
            Slot("to", "Who gets it", PEOPLE),
            Slot(
                "text", "The message", ("I'm running late", "See you at eight", "The keys are with Olu", "Call me back")
            ),
        ),
        ("Tell {to}: {text}", "Text {to} that {text}.", 'message {to} "{text}"', "Write to {to}."),
        {"sent_at": TIMES, "status": ("sent", "delivered")},
        ("Your message to {to} was {status} at {sent_at}.",),
    ),
    Function(
        "log_workout",
        "Write down a workout.",
        (
            Slot("activity", "What was done", ("running", "swimming", "cycling", "yoga", "rowing"), closed=True),
            Slot("minutes", "How long", (20, 35, 45, 60, 90)),
            Slot("distance_km", "How far", (3.2, 5.0, 10.4, 21.1), required=False),
        ),
        (
            "I did {minutes} minutes of {activity}.",
            "log {activity}: {distance_km} km in {minutes} minutes",
            "Note that I went {activity} today.",
        ),
        {"calories": (120, 280, 410, 650), "week_minutes": (45, 120, 210)},
        ("Logged {minutes} minutes of {activity}, about {calories} calories.",),
    ),
)

_AREA = Slot("area", "part of town", ("north", "south", "east", "west", "centre"), required=False, closed=True)
_PRICE = Slot("pricerange", "price range", ("cheap", "moderate", "expensive"), required=False, closed=True)
_DAY = Slot("day", "day of the week", [day.lower() for day in DAYS], closed=True)
_GROUP = Slot("people", "number of people", SMALL)
_HOTELS: Values = (
    [{"name": "Juniper Lodge", "area": "north", "stars": 2, "parking": True, "phone": "01632 960102"}],
    [{"name": "Gable Inn", "area": "east", "stars": 3, "parking": False}, {"name": "Weir House", "stars": 4}],
    [],
)
_MEALS: Values = (
    [{"name": "Mint Pavilion", "food": "indian", "area": "south", "phone": "01632 960133"}],
    [{"name": "Anatolia Hearth", "food": "turkish"}, {"name": "The Copper Pan", "food": "british"}],
    [],
)

TOWN = (
    Function(
        "find_hotels",
        "Find hotels and guest houses.",
        (_AREA, _PRICE, Slot("stars", "number of stars, 0 to 5", (2, 3, 4, 5), required=False)),
        (
            "I need a {pricerange} hotel in the {area}.",
            "somewhere to sleep in the {area}, {stars} stars",
            "Which {pricerange} places to stay are there?",
            "a {stars} star hotel please",
        ),
        {"count": (0, 1, 6, 12), "hotels": _HOTELS},
        ("I found {count}: {hotels}. Shall I book one?", "There are {count} that fit."),
    ),
    Function(
        "book_hotel",
        "Book a stay at a hotel.",
        (
            Slot("name", "name of the hotel", ("Juniper Lodge", "Gable Inn", "Weir House", "Fallow Court")),
            _GROUP,
            _DAY,
            Slot("stay", "number of nights", SMALL),
        ),
        (
            "Book {name} for {people} people from {day}, {stay} nights.",
            "{people} of us want to stay at {name}, {stay} nights from {day}",
            "Please book {name} from {day}.",
        ),
        {"reference": CODES},
        ("{name} is booked for {people} people from {day}, {stay} nights. Your reference is {reference}.",),
    ),
    Function(
        "find_restaurants",
        "Find restaurants.",
        (
            _AREA,
            _PRICE,
            Slot("food", "kind of food", ("indian", "italian", "turkish", "british", "thai"), required=False),
        ),
        (
            "Where can I get {food} food in the {area}?",
            "a {pricerange} restaurant, {food} if possible",
            "We would like to eat in the {area}.",
        ),
        {"count": (0, 1, 2, 9), "restaurants": _MEALS},
        ("There are {count}, for instance {restaurants}.", "I found {count} restaurants."),
    ),
    Function(
        "book_restaurant",
        "Book a table at a restaurant.",
        (
            Slot("name", "name of the restaurant", ("Mint Pavilion", "Anatolia Hearth", "The Copper Pan")),
            _GROUP,
            _DAY,
            Slot("time", "time as HH:MM", TIMES),
        ),
        (
            "A table at {name} for {people} on {day} at {time}.",
            "book {name}, {day} {time}, {people} people",
            "Can you get us a table at {name} on {day}?",
        ),
        {"reference": CODES},
        ("A table for {people} at {name} is yours on {day} at {time}: {reference}.",),
    ),
    Function(
        "find_trains",
        "Find trains.",
        (
            Slot("departure", "town of departure", ("Marlowick", "Brindlesea", "Copperwell")),
            Slot("destination", "town of arrival", ("Dunmarrow", "Ashgrove", "Tarnford")),
            _DAY,
            Slot("leave_at", "earliest departure as HH:MM", TIMES, required=False),
        ),
        (
            "I want to go from {departure} to {destination} on {day}.",
            "trains {departure} to {destination}, {day} after {leave_at}",
            "When do trains go to {destination}?",
        ),
        {"count": (0, 3, 16), "first": TIMES, "price": ("5.40 pounds", "12.40 pounds", "18.60 pounds")},
        ("The first of {count} leaves at {first}; a ticket costs {price}.",),
    ),
    Function(
        "book_taxi",
        "Book a taxi.",
        (
            Slot("departure", "where the ride starts", ("Juniper Lodge", "the station", "Mint Pavilion")),
            Slot("destination", "where the ride ends", ("Tanners' Museum", "Weir House", "the theatre")),
            Slot("leave_at", "departure time as HH:MM", TIMES, required=False),
        ),
        (
            "A taxi from {departure} to {destination} at {leave_at}.",
            "get me a cab, {departure} to {destination}",
            "I need a taxi to {destination}.",
        ),
        {"car": ("blue estate", "white saloon", "grey hybrid"), "phone": ("01632 960221", "01632 960224")},
        ("A {car} will be at {departure}; call {phone} if you cannot find it.",),
    ),
)
