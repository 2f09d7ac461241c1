"""Random JSON Schemas, each with a way to draw its valid values, from a seed: for tests and benchmarks of the grammars.

`draw(random)` gives a `Drawn`: the schema, and `value()`, which is valid unless a keyword that only a check holds says
otherwise, with members in schema order and then the further ones. Every keyword of the grammars is used, also the
checked ones unless `checked=False`. Not covered: schemas that allow nothing, invalid schemas.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from coalm_lite.types import JsonObject, JsonValue

Draw: TypeAlias = Callable[[], JsonValue]
_LETTERS = "abcxyzABC_019 -.,:;'\"\\/\n\t\x01\x7féß\xa0\u2028東🚆{}[]()"
_NAMES = ("a", "ab", "abc", "b", "name", "na me", "x", "é", "to", "with'quote", 'with"quote', "type", "value", "")
_FORMATS: dict[str, tuple[str, ...]] = {
    "date": ("2024-02-29", "1999-12-31", "0001-01-01"),
    "time": ("00:00:00Z", "23:59:59.25+05:30"),
    "date-time": ("2024-02-29T12:30:00Z", "1999-12-31T23:59:59.123-08:00"),
    "email": ("a@b.co", "first.last+tag@mail.example.org"),
    "uuid": ("123e4567-e89b-12d3-a456-426614174000", "ABCDEF01-2345-6789-abcd-ef0123456789"),
    "ipv4": ("0.0.0.0", "192.168.1.255"),
    "uri": ("https://example.org/a?b=c#d", "urn:isbn:0451450523", "mailto:a@b.co"),
}
_CLASSES = (
    ("[a-z]", "abcxyz"),
    ("[^a-c\"']", "xyzé🚆 9\n"),
    (r"\d", "0123456789"),
    (r"\w", "abzAZ09_"),
    (r"\s", " \t\n"),
    (r"\S", "a9é東🚆'"),
    (".", "a\"'\\é\x01"),
    ("[0-9A-F_]", "09AF_"),
    (r"\.", "."),
    ('"', '"'),
    ("x", "x"),
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A schema, and a function that draws one of its values."""

    schema: JsonObject
    value: Draw


class Generator:
    """Draws schemas; `checked`: also with keywords that a check holds; `recursive`: what `#/$defs/node` may be."""

    def __init__(self, rng: random.Random, checked: bool = True) -> None:
        self.rng = rng
        self.checked = checked
        self._node: Draw | None = None
        self._budget = 0

    def document(self) -> Drawn:
        """A whole schema, sometimes with a definition that contains itself."""
        if self.rng.random() < 0.15:
            return self._recursive()
        return self.schema(self.rng.randint(0, 3))

    def _recursive(self) -> Drawn:
        inner = self.schema(1)
        node: JsonObject = {
            "type": "object",
            "properties": {"value": inner.schema, "next": {"$ref": "#/$defs/node"}},
            "required": ["value"],
            "additionalProperties": False,
        }

        def value() -> JsonValue:
            found: JsonObject = {"value": inner.value()}
            if self.rng.random() < 0.4:
                found["next"] = value()
            return found

        return Drawn({"$ref": "#/$defs/node", "$defs": {"node": node}}, value)

    def schema(self, depth: int) -> Drawn:
        """A schema of at most this depth."""
        scalars = [self.string, self.number, self.integer, self.plain, self.listed, self.text]
        deep = [self.array, self.object, self.object, self.any_of, self.all_of, self.typed_list]
        return self.rng.choice(scalars + deep if depth else scalars)(depth)

    def plain(self, depth: int) -> Drawn:
        kind = self.rng.choice(["boolean", "null", "string", "any"])
        values: dict[str, Draw] = {
            "boolean": lambda: self.rng.random() < 0.5,
            "null": lambda: None,
            "string": self.some_text,
            "any": self.anything,
        }
        return Drawn({} if kind == "any" else {"type": kind, "description": "d", "default": 0}, values[kind])

    def some_text(self) -> str:
        return "".join(self.rng.choices(_LETTERS, k=self.rng.randint(0, 6)))

    def anything(self, depth: int = 3) -> JsonValue:
        """Any JSON value."""
        kind = self.rng.randrange(7 if depth else 5)
        if kind == 5:
            return [self.anything(depth - 1) for _ in range(self.rng.randint(0, 3))]
        if kind == 6:
            return {self.rng.choice(_NAMES): self.anything(depth - 1) for _ in range(self.rng.randint(0, 3))}
        return [None, True, self.rng.randint(-1000, 1000), self.rng.uniform(-5, 5), self.some_text()][kind]

    def listed(self, depth: int) -> Drawn:
        values = [self.anything(1) for _ in range(self.rng.randint(1, 4))]
        if self.rng.random() < 0.5:
            return Drawn({"const": values[0]}, lambda: values[0])
        return Drawn({"enum": values}, lambda: self.rng.choice(values))

    def text(self, depth: int) -> Drawn:
        """A string of some length or format."""
        if self.rng.random() < 0.4:
            name = self.rng.choice(sorted(_FORMATS))
            return Drawn({"type": "string", "format": name}, lambda: self.rng.choice(_FORMATS[name]))
        least = self.rng.randint(0, 4)
        most = least + self.rng.choice([0, 1, 3, 70, 200])
        schema: JsonObject = {"type": "string", "maxLength": most, **({"minLength": least} if least else {})}
        return Drawn(schema, lambda: "".join(self.rng.choices(_LETTERS, k=self.rng.randint(least, most))))

    def string(self, depth: int) -> Drawn:
        """A string of a pattern."""
        pattern, inside = self._pattern(2)
        left, right = self.rng.random() < 0.6, self.rng.random() < 0.6
        schema: JsonObject = {"type": "string", "pattern": f"{'^' * left}{pattern}{'$' * right}"}
        if self.checked and self.rng.random() < 0.1:
            schema["pattern"] = f"(?!zzz){pattern}"
        rule = schema["pattern"]
        assert isinstance(rule, str)

        def value() -> str:
            before = "" if left else self.some_text()
            return before + inside() + ("" if right else self.some_text())

        return Drawn(schema, value)

    def _pattern(self, depth: int) -> tuple[str, Callable[[], str]]:
        kind = self.rng.randrange(4 if depth else 1)
        if kind == 0:
            written, members = self.rng.choice(_CLASSES)
            return written, lambda: self.rng.choice(members)
        if kind == 1:
            parts = [self._pattern(depth - 1) for _ in range(self.rng.randint(1, 3))]
            return "".join(p for p, _ in parts), lambda: "".join(v() for _, v in parts)
        if kind == 2:
            options = [self._pattern(depth - 1) for _ in range(self.rng.randint(2, 3))]
            values = [value for _, value in options]
            return f"(?:{'|'.join(p for p, _ in options)})", lambda: "".join(v() for v in self.rng.sample(values, 1))
        inner, value = self._pattern(depth - 1)
        mark, least, most = self.rng.choice([("?", 0, 1), ("*", 0, 3), ("+", 1, 3), ("{2,3}", 2, 3), ("{2}", 2, 2)])
        return f"(?:{inner}){mark}", lambda: "".join(value() for _ in range(self.rng.randint(least, most)))

    def integer(self, depth: int) -> Drawn:
        low, high = sorted(self.rng.choice([-(10**6), -100, -7, 0, 1, 12, 999, 10**12]) for _ in range(2))
        sides = self.rng.randrange(4)
        low, high = (low if sides & 1 else -(10**9)), (high + 3 if sides & 2 else 10**15)
        schema: JsonObject = {"type": "integer"}
        schema |= {"minimum": low} if sides & 1 else {}
        schema |= {"exclusiveMaximum": high + 1} if sides & 2 else {}
        if self.checked and self.rng.random() < 0.1:
            schema["multipleOf"] = self.rng.choice([2, 5])
        return Drawn(schema, lambda: self.rng.choice([low, high, self.rng.randint(low, high)]))

    def number(self, depth: int) -> Drawn:
        low, high = sorted(self.rng.choice([-1e6, -2.5, -0.001, 0, 1, 3, 0.1, 1e-9, 1e21]) for _ in range(2))
        high += 1
        sides = self.rng.randrange(4)
        schema: JsonObject = {"type": "number"}
        schema |= {"minimum": low} if sides & 1 else {}
        schema |= {"maximum": high} if sides & 2 else {}

        def value() -> JsonValue:
            start, end = (low if sides & 1 else -1e9), (high if sides & 2 else 1e24)
            drawn = self.rng.choice([start, end, self.rng.uniform(start, end), start + (end - start) * 1e-9])
            whole = round(drawn)
            return whole if start <= whole <= end and abs(whole) < 10**18 and self.rng.random() < 0.3 else drawn

        return Drawn(schema, value)

    def array(self, depth: int) -> Drawn:
        item = self.schema(depth - 1)
        first = [self.schema(depth - 1) for _ in range(self.rng.choice([0, 0, 1, 2]))]
        least = self.rng.choice([0, 0, 1, 2])
        most = least + self.rng.choice([1, 3, 80])
        schema: JsonObject = {"type": "array", "items": item.schema}
        schema |= {"prefixItems": [one.schema for one in first]} if first else {}
        schema |= {"minItems": least} if least else {}
        schema |= {"maxItems": most} if self.rng.random() < 0.5 else {}
        if self.checked and self.rng.random() < 0.15:
            schema |= self.rng.choice([{"uniqueItems": True}, {"contains": {"type": "string"}}])

        def value() -> JsonValue:
            count = self.rng.randint(least, min(most, least + 3))
            return [(first[at] if at < len(first) else item).value() for at in range(count)]

        return Drawn(schema, value)

    def object(self, depth: int) -> Drawn:
        names = self.rng.sample(_NAMES, self.rng.randint(0, 4))
        members = {name: self.schema(depth - 1) for name in names}
        required = [name for name in names if self.rng.random() < 0.5]
        schema: JsonObject = {"type": "object"}
        schema |= {"properties": {name: one.schema for name, one in members.items()}} if names else {}
        schema |= {"required": [*required]} if required else {}
        further = self._further(depth, schema)
        if self.checked and self.rng.random() < 0.15:
            schema |= self.rng.choice([{"minProperties": 1}, {"maxProperties": 3}, {"propertyNames": {"maxLength": 4}}])

        def value() -> JsonValue:
            kept = [name for name in names if name in required or self.rng.random() < 0.5]
            found: JsonObject = {name: members[name].value() for name in kept}
            for _ in range(self.rng.choice([0, 0, 1, 2]) if further else 0):
                drawn = further() if further else None
                if drawn and drawn[0] not in names:
                    found[drawn[0]] = drawn[1]
            return found

        return Drawn(schema, value)

    def _further(self, depth: int, schema: JsonObject) -> Callable[[], tuple[str, JsonValue]] | None:
        """Adds what says which further members there may be; returns how to draw one."""
        kind = self.rng.randrange(5)
        if kind == 0:
            schema["additionalProperties"] = False
            return None
        if kind == 1:
            schema["additionalProperties"] = True
        if kind in (1, 2):
            return lambda: (self.rng.choice([*_NAMES, "further", self.some_text()]), self.anything(1))
        inner = self.schema(depth - 1)
        if kind == 3:
            schema["additionalProperties"] = inner.schema
            return lambda: (self.rng.choice([*_NAMES, "abcd", self.some_text()]), inner.value())
        schema |= {"patternProperties": {"^n": inner.schema}, "additionalProperties": False}
        return lambda: ("n" + self.some_text(), inner.value())

    def any_of(self, depth: int) -> Drawn:
        options = [self.schema(depth - 1) for _ in range(self.rng.randint(1, 3))]
        keyword = "oneOf" if self.checked and self.rng.random() < 0.3 else "anyOf"
        return Drawn({keyword: [one.schema for one in options]}, lambda: self.rng.choice(options).value())

    def all_of(self, depth: int) -> Drawn:
        """Objects that must be several things at once, or a value with a bound beside a reference-like whole."""
        own, other = self.schema(depth - 1), self.schema(depth - 1)
        schema: JsonObject = {
            "type": "object",
            "properties": {"own": own.schema},
            "allOf": [{"properties": {"other": other.schema}, "required": ["other"]}, {"required": ["own"]}],
        }
        return Drawn(schema, lambda: {"own": own.value(), "other": other.value()})

    def typed_list(self, depth: int) -> Drawn:
        other = self.schema(depth - 1)
        kind = other.schema.get("type")
        if not isinstance(kind, str) or kind == "null" or "not" in other.schema:
            return other
        schema: JsonObject = {**other.schema, "type": [kind, "null"]}
        return Drawn(schema, lambda: None if self.rng.random() < 0.3 else other.value())


def draw(rng: random.Random, checked: bool = True) -> Drawn:
    """A random schema with its values."""
    return Generator(rng, checked).document()
