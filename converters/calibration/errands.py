"""Functions for calibration conversations: weather, calendar, files, shopping, money."""

from __future__ import annotations

from coalm_lite.converters.calibration.tools import (
    CITIES,
    CODES,
    DATES,
    DAYS,
    PEOPLE,
    PRICES,
    SMALL,
    TIMES,
    Function,
    Slot,
)

WEATHER = (
    Function(
        "get_current_weather",
        "Current weather at a place.",
        (
            Slot("city", "Name of the city", CITIES),
            Slot("unit", "Unit of temperatures", ("celsius", "fahrenheit"), required=False, closed=True),
        ),
        (
            "What's the weather like in {city} right now?",
            "how warm is it in {city}, in {unit}",
            "Do I need a coat in {city} today?",
            "Tell me the temperature outside.",
        ),
        {"temperature": (-4, 3, 11, 18, 24, 31), "sky": ("clear", "light rain", "snow", "overcast", "windy")},
        ("It is {temperature} degrees in {city}, with {sky}.", "Right now {city} has {sky} at {temperature} degrees."),
    ),
    Function(
        "get_forecast",
        "Weather forecast for the coming days.",
        (Slot("city", "Name of the city", CITIES), Slot("days", "Days ahead, 1 to 7", (1, 2, 3, 5, 7))),
        (
            "Give me the forecast for {city} for the next {days} days.",
            "Will it rain in {city} within {days} days?",
            "I'm hiking near {city}; how does the weather look over {days} days?",
            "What will the weather be in {city}?",
        ),
        {"high": (9, 15, 22, 28), "low": (-2, 4, 8, 13), "rain_chance": (0.05, 0.2, 0.55, 0.9)},
        ("Over the next {days} days {city} gets up to {high} and down to {low} degrees; rain: {rain_chance}.",),
    ),
    Function(
        "get_air_quality",
        "Air quality index of a city.",
        (Slot("city", "Name of the city", CITIES),),
        ("Is the air in {city} good enough for a run?", "air quality {city}", "How polluted is {city} today?"),
        {"index": (18, 42, 77, 121, 160), "level": ("good", "moderate", "unhealthy")},
        ("The index in {city} is {index}, which counts as {level}.", "{city}: {index}, {level}."),
    ),
)

CALENDAR = (
    Function(
        "create_event",
        "Add an event to the calendar.",
        (
            Slot(
                "title", "What it is", ("dentist", "budget review", "piano lesson", "call with the bank", "team lunch")
            ),
            Slot("date", "YYYY-MM-DD", DATES),
            Slot("start", "HH:MM, 24 hours", TIMES),
            Slot("duration_minutes", "Length", (15, 30, 45, 60, 90), required=False),
            Slot("guests", "Names to invite", (["Amina"], ["Jonas", "Mei"], ["Priya", "Sam", "Olu"]), required=False),
        ),
        (
            "Put {title} in my calendar on {date} at {start}.",
            "Schedule {title} for {date}, {start}, {duration_minutes} minutes.",
            "I have {title} on {date} at {start}, please invite {guests}.",
            "Please add {title} on {date}.",
        ),
        {"event_id": CODES, "conflicts": ([], ["standup"], ["school run"])},
        (
            "Done: {title} is in your calendar for {date} at {start}.",
            "I added {title} on {date}, {start} ({event_id}).",
        ),
    ),
    Function(
        "list_events",
        "Events of one day.",
        (Slot("date", "YYYY-MM-DD", DATES),),
        ("What do I have on {date}?", "Am I free on {date}?", "show my appointments for {date}"),
        {"events": ([], ["09:00 standup"], ["10:30 dentist", "16:20 piano lesson"], ["12:15 team lunch"])},
        ("On {date} you have: {events}.", "Your calendar for {date} says {events}."),
    ),
    Function(
        "cancel_event",
        "Cancel an event by its id.",
        (Slot("event_id", "Id of the event", CODES), Slot("notify", "Tell the guests", (True, False), required=False)),
        ("Cancel event {event_id}.", "Drop {event_id} from my calendar, please.", "Cancel my appointment."),
        {"cancelled": (True,)},
        ("Event {event_id} is cancelled.", "I removed {event_id}."),
    ),
    Function(
        "set_reminder",
        "Remind the user of something.",
        (
            Slot(
                "text", "What to remind of", ("water the plants", "send the invoice", "call Leila", "take the bins out")
            ),
            Slot("time", "HH:MM, 24 hours", TIMES),
            Slot("day", "Day of the week", DAYS, required=False, closed=True),
        ),
        (
            "Remind me to {text} at {time}.",
            "On {day} at {time}, remind me: {text}",
            "don't let me forget to {text}, {day} {time}",
            "Remind me to {text}.",
        ),
        {"reminder_id": CODES},
        ("I will remind you at {time} to {text}.", "Reminder {reminder_id} is set for {time}."),
    ),
)

FILES = (
    Function(
        "search_files",
        "Find files by words in their name or text.",
        (
            Slot("query", "Words to look for", ("tax return", "holiday photos", "lease", "meeting minutes", "recipe")),
            Slot("folder", "Folder to look in", ("Documents", "Desktop", "/srv/share", "Downloads"), required=False),
            Slot("extension", "Only this kind", ("pdf", "docx", "txt", "jpg"), required=False),
        ),
        (
            "Find my files about {query}.",
            "Where is the {query} {extension}?",
            "look in {folder} for {query}",
            "Search {folder} for {extension} files on {query}.",
        ),
        {"paths": (["lease_2024.pdf"], ["minutes-03.docx", "minutes-04.docx"], []), "count": (0, 1, 2, 14)},
        ("I found {count} files about {query}: {paths}.", "For {query} there is {paths}."),
    ),
    Function(
        "move_file",
        "Move or rename a file.",
        (
            Slot("source", "Present path", ("Downloads/scan1.pdf", "notes.txt", "IMG_2201.jpg", "draft_v2.docx")),
            Slot(
                "target", "New path", ("Archive/scan1.pdf", "Documents/notes-2026.txt", "Photos/cat.jpg", "final.docx")
            ),
            Slot("overwrite", "Replace an existing file", (False, True), required=False),
        ),
        (
            "Move {source} to {target}.",
            "rename {source} as {target}",
            "{source} should be {target}, overwrite: {overwrite}",
        ),
        {"ok": (True,), "bytes": (1204, 88213, 4518822)},
        ("{source} is now {target}.", "Moved {source} to {target}, {bytes} bytes."),
    ),
    Function(
        "share_file",
        "Give someone access to a file.",
        (
            Slot("path", "The file", ("report.pdf", "plan.xlsx", "Photos/cat.jpg", "slides.pptx")),
            Slot("person", "Who gets access", PEOPLE),
            Slot("role", "What they may do", ("view", "comment", "edit"), closed=True),
        ),
        (
            "Let {person} {role} {path}.",
            "Share {path} with {person} so that they can {role} it.",
            "Share {path}, please.",
        ),
        {"link": ("https://files.example/r/a81", "https://files.example/r/x20")},
        ("{person} can now {role} {path}: {link}",),
    ),
)

SHOPPING = (
    Function(
        "search_products",
        "Search a shop's products.",
        (
            Slot(
                "query", "What is wanted", ("running shoes", "desk lamp", "espresso machine", "rain jacket", "kettle")
            ),
            Slot("max_price", "Most that it may cost", (20.0, 35.5, 80.0, 250.0), required=False),
            Slot("in_stock", "Only what can be sent now", (True, False), required=False),
        ),
        (
            "I'm looking for a {query} under {max_price}.",
            "show me {query}",
            "Which {query} do you have below {max_price} euros?",
        ),
        {"product_id": CODES, "name": ("Alto", "Brio 2", "Nordlys", "Kestrel"), "price": PRICES},
        ("The {name} costs {price}; its number is {product_id}.", "I would suggest the {name} for {price}."),
    ),
    Function(
        "add_to_cart",
        "Put a product into the cart.",
        (Slot("product_id", "Number of the product", CODES), Slot("quantity", "How many", SMALL)),
        (
            "Add {quantity} of {product_id} to my cart.",
            "I'll take {quantity} x {product_id}",
            "Put {product_id} in the cart.",
        ),
        {"items": (1, 3, 5), "total": PRICES},
        ("{quantity} of {product_id} are in your cart, {total} in all.",),
    ),
    Function(
        "track_order",
        "Where an order is.",
        (Slot("order_id", "Number of the order", ("A-10023", "B-77120", "C-00418", "A-99871")),),
        ("Where is my order {order_id}?", "track {order_id}", "Has {order_id} been shipped?", "Where is my parcel?"),
        {"status": ("packed", "on its way", "at the depot", "delivered"), "arrives": DATES},
        ("Order {order_id} is {status} and should arrive on {arrives}.", "{order_id}: {status}."),
    ),
    Function(
        "return_item",
        "Send a bought item back.",
        (
            Slot("order_id", "Number of the order", ("A-10023", "B-77120", "C-00418")),
            Slot("reason", "Why", ("too small", "damaged", "wrong colour", "changed my mind"), closed=True),
        ),
        ("I want to return order {order_id}: {reason}.", "{order_id} is {reason}, can I send it back?"),
        {"label": CODES, "refund": PRICES},
        ("Use label {label} for {order_id}; you get {refund} back.",),
    ),
)

FINANCE = (
    Function(
        "convert_currency",
        "Convert an amount of money.",
        (
            Slot("amount", "How much", (10, 25.5, 100, 1999.99, 5000)),
            Slot("source", "Currency code", ("EUR", "USD", "GBP", "JPY")),
            Slot("target", "Currency code", ("CHF", "INR", "BRL", "SEK")),
        ),
        (
            "How much is {amount} {source} in {target}?",
            "convert {amount} {source} to {target}",
            "What is {amount} {source}?",
        ),
        {"result": (9.41, 812.5, 10433.0, 57.12), "rate": (0.94, 1.17, 83.2)},
        ("{amount} {source} are {result} {target}.", "At a rate of {rate} that makes {result} {target}."),
    ),
    Function(
        "get_balance",
        "Balance of an account.",
        (Slot("account", "Which account", ("checking", "savings", "joint", "business"), closed=True),),
        ("What's the balance of my {account} account?", "how much money is on {account}", "How much money do I have?"),
        {"balance": (-32.1, 418.07, 2210.0, 18250.5), "currency": ("EUR", "USD")},
        ("Your {account} account has {balance} {currency}.",),
    ),
    Function(
        "transfer_money",
        "Send money to someone.",
        (
            Slot("to", "Who receives it", PEOPLE),
            Slot("amount", "How much", (15, 40, 75.25, 300, 1200)),
            Slot("note", "Text for the receiver", ("rent", "concert tickets", "dinner", "birthday"), required=False),
            Slot("account", "From which account", ("checking", "savings", "joint"), required=False, closed=True),
        ),
        (
            "Send {amount} to {to}.",
            "Transfer {amount} to {to} for {note}.",
            "pay {to} {amount} from {account}, note {note}",
            "Send {to} some money.",
        ),
        {"reference": CODES, "fee": (0, 0.3, 1.5)},
        ("I sent {amount} to {to}; the reference is {reference}.", "{to} gets {amount}. Fee: {fee}."),
    ),
    Function(
        "loan_payment",
        "Monthly payment of a loan.",
        (
            Slot("principal", "Sum borrowed", (5000, 18000, 120000, 250000)),
            Slot("annual_rate", "Interest a year in percent", (1.9, 3.25, 4.5, 7.0)),
            Slot("years", "Length in years", (2, 5, 10, 25)),
        ),
        (
            "What would I pay a month for {principal} over {years} years at {annual_rate} percent?",
            "loan of {principal}, {annual_rate}%, {years} years: monthly payment?",
            "What does a loan of {principal} cost me?",
        ),
        {"monthly": (219.14, 331.02, 667.2, 1265.3), "interest": (480.5, 9120.0, 81200.4)},
        ("That would be {monthly} a month, with {interest} of interest in all.",),
    ),
)
