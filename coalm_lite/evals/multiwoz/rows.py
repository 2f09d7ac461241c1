"""One row of a MultiWOZ database: how it is shown to a model, whether it fits, and whether words tell of it.

Shown: lower case, whole numbers and true/false where a value is one, keys in a fixed order; `?` where the database does
not know. Words tell a value when it stands in them: as whole words (any punctuation), or run together where it is long
(`CB1 2DP`); a time also without its leading zero; a price as an amount, for one or for all who travel; parking and
internet as the word, with a negation in the sentence where there is none. Not covered: numbers in words, other clocks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from coalm_lite.demo import names
from coalm_lite.types import JsonObject, JsonValue

# A published slot, and the name it has as an argument or in a result.
ARGUMENT_NAMES = {
    "leaveAt": "leave_at", "arriveBy": "arrive_by", "entrance fee": "fee", "car type": "car", "trainID": "train_id",
}  # fmt: skip
SHOWN = {
    "hotel": ("name", "type", "area", "pricerange", "stars", "parking", "internet", "phone", "address", "postcode"),
    "restaurant": ("name", "food", "area", "pricerange", "phone", "address", "postcode"),
    "attraction": ("name", "type", "area", "entrance fee", "phone", "address", "postcode"),
    "train": ("trainID", "departure", "destination", "day", "leaveAt", "arriveBy", "price", "duration"),
}
UNKNOWN = "?"
_SPELLINGS = {
    "guesthouse": "guest house", "swimmingpool": "swimming pool", "concerthall": "concert hall",
    "mutliple sports": "multiple sports",
}  # fmt: skip
_YES_NO = {"parking", "internet"}
_NUMBERS = {"stars", "people", "stay"}
_KINDS = {"type", "food"}  # said with or without spaces, a plural s
_KIND_OF_PLACE = re.compile(r" (hotel|restaurant)$")  # a name is said with or without it
_NEGATION = re.compile(r"\b(no|not|without|neither|nor|unfortunately|lacks)\b|n't\b")
_LONG = 6


def value_of(slot: str, raw: object) -> JsonValue:
    """A published value as the tools take and show it."""
    text = " ".join(str(raw).lower().split())
    if slot in _YES_NO and text in {"yes", "no"}:
        return text == "yes"
    if slot in _NUMBERS and text.isdigit():
        return int(text)
    if re.fullmatch(r"\d:\d\d", text):
        return f"0{text}"
    return _SPELLINGS.get(text, text) or UNKNOWN


def shown_row(domain: str, row: Mapping[str, JsonValue]) -> JsonObject:
    """A database row as a search shows it."""
    return {ARGUMENT_NAMES.get(key, key): value_of(key, row.get(key, UNKNOWN)) for key in SHOWN[domain]}


def fits(row: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> bool:
    """Whether a row has every wanted value that is not None; times are the earliest departure and latest arrival."""
    return all(_value_fits(key, row.get(key), value) for key, value in wanted.items() if value is not None)


def _value_fits(key: str, found: JsonValue, wanted: JsonValue) -> bool:
    if key == "leave_at":
        return str(found) >= str(wanted)
    if key == "arrive_by":
        return str(found) <= str(wanted)
    if key == "name":
        return names.same_kind(*(_KIND_OF_PLACE.sub("", str(name).casefold()) for name in (found, wanted)))
    if key in _KINDS:
        return names.same_kind(str(found), str(wanted))
    return str(found).casefold() == str(wanted).casefold()


def named_in(words: str, rows: Iterable[JsonObject]) -> list[JsonObject]:
    """The rows whose names stand in `words`, in the words' order; a name within a longer one that is there is not."""
    text = f" {_folded(words)} "
    found = []
    for row in sorted(rows, key=lambda row: -len(str(row["name"]))):
        name = f" {_spoken_name(str(row['name']))} "
        if name in text:
            found.append((text.index(name), row))
            text = text.replace(name, " " + "|" * (len(name) - 2) + " ")
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def _spoken_name(name: str) -> str:
    folded = _folded(name)
    bare = folded.removeprefix("the ")
    return bare if " " in bare else folded  # "the place" is a name, "place" is none


def trains_in(words: str, seen: Iterable[JsonObject]) -> list[JsonObject]:
    """Of the trains `seen`, those whose number stands in `words`; without any, those whose departure time does."""
    trains = list(seen)
    numbered = [train for train in trains if _stands_in(str(train["train_id"]), words)]
    return numbered or [train for train in trains if _time_stands_in(str(train["leave_at"]), words)]


def told(attribute: str, row: Mapping[str, JsonValue], words: str, people: int = 1) -> bool:
    """Whether `words` tell an attribute of a row; what the database does not know counts as told."""
    value = row.get(attribute, UNKNOWN)
    if value == UNKNOWN:
        return True
    if isinstance(value, bool):
        return _feature_told(attribute, value, words)
    if attribute in {"leave_at", "arrive_by"}:
        return _time_stands_in(str(value), words)
    if attribute == "price":
        return _price_stands_in(str(value), words, people)
    return _stands_in(str(value), words)


def _stands_in(value: str, words: str) -> bool:
    spoken, text = _folded(value), _folded(words)
    if f" {spoken} " in f" {text} ":
        return True
    joined = spoken.replace(" ", "")
    return len(joined) >= _LONG and joined in text.replace(" ", "")


def _time_stands_in(time: str, words: str) -> bool:
    return bool(re.search(rf"(?<![\d:])0?{re.escape(time.removeprefix('0'))}(?![\d:])", words))


def _price_stands_in(price: str, words: str, people: int) -> bool:
    amount = re.match(r"\d+(\.\d+)?", price)
    if not amount:
        return _stands_in(price, words)
    wanted = {round(float(amount[0]) * count, 2) for count in (1, people)}
    return any(round(float(said), 2) in wanted for said in re.findall(r"\d+(?:\.\d+)?", words))


def _feature_told(attribute: str, present: bool, words: str) -> bool:
    pattern = {"parking": r"\bpark", "internet": r"\b(internet|wi-?fi)\b"}[attribute]
    sentences = re.split(r"[.!?;]\s", words.lower())
    return any(re.search(pattern, one) and bool(_NEGATION.search(one)) != present for one in sentences)


def _folded(text: str) -> str:
    """Lower-case words without accents and punctuation; a genitive's `s` belongs to its word, spaced or not."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    spaced = " ".join(re.findall(r"[^\W_]+", re.sub(r"['`\u2019]", "", plain).replace("&", " and ")))
    return re.sub(r"\bcenter\b", "centre", re.sub(r"(\w\w) s\b", r"\1s", spaced))
