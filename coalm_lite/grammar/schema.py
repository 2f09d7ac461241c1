"""JSON Schema to rules: what a value of a schema is, in the way a dialect writes values.

By the rules: types, enum and const, objects, arrays, strings, numbers, anyOf, allOf, references, recursion. Left to the
check: what rules cannot say (keywords.py lists it; `Document.held` has each place). Refused with SchemaError: what
neither can hold, and a schema that allows nothing. Properties come in the order in which the schema names them, those
of `$ref` and `allOf` after the schema's own. Where the schema says nothing of a value, it is any JSON value, lists and
objects at most eight deep. `closed` is for tools: an object that names its properties has no others unless
`additionalProperties` says so, and a schema without a type has the types that its keywords speak of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from coalm_lite.grammar import arrays, ir, literals, objects, scalars
from coalm_lite.grammar.keywords import KEYWORDS
from coalm_lite.grammar.parts import Document, Flat, Part
from coalm_lite.grammar.regular import Dfa
from coalm_lite.grammar.strings import StringRules
from coalm_lite.grammar.syntax import Syntax
from coalm_lite.types import JsonObject

_SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})
_EVERY = ("object", "array", "string", "number", "boolean", "null")
_MOST_RULES = 4000
_ONE_OBJECT = 'Use {"type": "object", "properties": {...}}.'


class Compiler:
    """Makes the rules of one schema; they go into `rules`, which others may share."""

    def __init__(
        self, schema: JsonObject, name: str, syntax: Syntax, strings: StringRules, rules: dict[str, ir.Expression]
    ) -> None:
        self.document = Document(schema, name)
        self.syntax = syntax
        self.strings = strings
        self.rules = rules
        self._closed = False
        self._named: dict[frozenset[tuple[int, frozenset[str]]], str] = {}
        self._waiting: list[tuple[str, tuple[Part, ...]]] = []
        self._reasons: list[tuple[str, str, str]] = []

    def add_value(self, rule: str) -> None:
        """Adds the rule of the schema's values."""
        self.rules[rule] = self.value((self.document.root,), f"{rule}-value")
        self._finish(rule)

    def add_arguments(self, rule: str) -> None:
        """Adds the rule of a call's arguments in the syntax: an object, or `a=1, b=2`."""
        self._closed = True
        root = self.document.root
        whole = [keyword for keyword in ("enum", "const") if keyword in root.schema]
        if root.schema.get("type") != "object" or whole:
            self.document.refuse("", whole[0] if whole else "type", "a tool's parameters are one object", _ONE_OBJECT)
        self._waiting.append((rule, (root,)))
        self._finish(rule, arguments=rule)

    def _finish(self, rule: str, arguments: str = "") -> None:
        top = {arguments}
        try:
            while self._waiting:
                name, parts = self._waiting.pop(0)
                self.rules[name] = self._body(parts, name, name in top, top)
                if len(self._named) > _MOST_RULES:
                    self.document.refuse("", "anyOf", f"more than {_MOST_RULES} rules", "Write fewer alternatives.")
        except RecursionError:
            self.document.refuse("", "$ref", "nested too deep", "Flatten the schema.")
        if rule not in ir.pruned(self.rules, rule):
            self._refuse_empty()

    def _refuse_empty(self) -> None:
        hint = "Correct the schema: no value can be written that it allows."
        for pointer, keyword, problem in self._reasons:
            self.document.refuse(pointer, keyword, problem, hint)
        self.document.refuse("", "$ref", "no value of it ever ends", hint)

    def nothing(self, parts: Iterable[Part], keyword: str, problem: str) -> ir.Expression:
        """No value at all; the reason is told if the whole schema comes to nothing."""
        listed = list(parts)
        pointer = next((part.pointer for part in listed if part.has(keyword)), listed[0].pointer if listed else "")
        self._reasons.append((pointer, keyword, problem))
        return ir.NOTHING

    def value(self, parts: tuple[Part, ...], rule: str) -> ir.Expression:
        """The values that fit all parts: a reference, whose rule is made later."""
        for part in parts:
            self.document.check_form(part)
        asserting = tuple(part for part in parts if part.asserts)
        if not asserting:
            return ir.Ref("any")
        if len(asserting) == 1 and (kind := _plain_type(asserting[0])):
            return ir.Ref(kind)
        key = frozenset(part.key for part in asserting)
        if key not in self._named:
            self._named[key] = rule if rule not in self.rules else f"{rule}-{len(self._named)}"
            self._waiting.append((self._named[key], asserting))
        return ir.Ref(self._named[key])

    def _body(self, parts: tuple[Part, ...], rule: str, is_top: bool, top: set[str]) -> ir.Expression:
        flat = self.document.flat(parts)
        if flat.impossible:
            pointer, keyword = flat.impossible
            self._reasons.append((pointer, keyword, "allows nothing"))
            return ir.NOTHING
        if any(part.has("enum") or part.has("const") for part in flat.parts):
            return self._literals(flat.parts)
        if flat.choice is not None:
            return self._alternatives(flat, rule, top if is_top else set())
        if is_top:
            return self._arguments(flat.parts, rule)
        return self._of_types(flat.parts, rule)

    def _alternatives(self, flat: Flat, rule: str, top: set[str]) -> ir.Expression:
        """One of the options of the first anyOf or oneOf, each together with all else."""
        if flat.choice is None:
            raise AssertionError("there is a choice")
        part, keyword, schemas = flat.choice
        others = tuple(replace(p, done=p.done | {keyword}) if p.key == part.key else p for p in flat.parts)
        note = "one of the alternatives by grammar, that no second one fits by check"
        if keyword == "oneOf":
            self.document.hold(part, keyword, "check", note)
        options: list[ir.Expression] = []
        for at, schema in enumerate(schemas):
            option = self.document.part(schema, part, keyword, str(at))
            together = (*others, *([option] if option is not None else []))
            if top:
                top.add(f"{rule}-{at}")
                self._waiting.append((f"{rule}-{at}", together))
                options.append(ir.Ref(f"{rule}-{at}"))
            else:
                options.append(self.value(together, f"{rule}-{at}"))
        return ir.choice(options)

    def _arguments(self, parts: Sequence[Part], rule: str) -> ir.Expression:
        if "object" not in self._types(parts):
            return self.nothing(parts, "type", "is not object")
        self._check_parameters(parts)
        inside = objects.members(self, parts, rule, is_call=True, closed=True)
        return inside if self.syntax.keyword_arguments else _braced(inside)

    def _check_parameters(self, parts: Sequence[Part]) -> None:
        """A call gives its parameters by name, so a required one must be among them."""
        known: set[str] = set()
        for part in parts:
            properties = part.get("properties")
            known.update(properties if isinstance(properties, dict) else ())
        is_open = any(part.has("additionalProperties") or part.has("patternProperties") for part in parts)
        for part in parts:
            required = part.get("required")
            for name in required if isinstance(required, list) and not is_open else ():
                if name not in known:
                    problem = f"{name!r} is not among the properties"
                    self.document.refuse(part.pointer, "required", problem, "Add it to properties.")

    def _literals(self, parts: Sequence[Part]) -> ir.Expression:
        """The listed values that fit all else that is said of them."""
        values = literals.fitting(self.document.root.schema, parts)
        if not values:
            keyword = "enum" if any(part.has("enum") for part in parts) else "const"
            return self.nothing(parts, keyword, "has no value that fits the rest")
        return ir.literals(self.syntax.write(value) for value in values)

    def _types(self, parts: Sequence[Part]) -> list[str]:
        """The types that all parts allow, in a fixed order; integer only where not every number may come."""
        said = [types for types in map(literals.said_types, parts) if types is not None]
        if not said:
            return _spoken_of(parts) if self._closed else list(_EVERY)
        found = set.intersection(*said)
        return [name for name in (*_EVERY, "integer") if name in found and (name != "integer" or "number" not in found)]

    def _of_types(self, parts: Sequence[Part], rule: str) -> ir.Expression:
        types = self._types(parts)
        if not types:
            return self.nothing(parts, "type", "no type is left")
        return ir.choice(self._of_type(name, _about(parts, name), rule) for name in types)

    def _of_type(self, name: str, parts: Sequence[Part], rule: str) -> ir.Expression:
        """The values of one type; `parts` are those that speak of it."""
        match name:
            case "object":
                return _braced(objects.members(self, parts, rule, closed=self._closed))
            case "array":
                return arrays.array(self, parts, rule)
            case "string":
                return scalars.string(self, parts, rule)
            case "number" | "integer":
                return scalars.number(self, parts, rule, whole=name == "integer")
        return ir.Ref(name)

    def bare_names(self, dfa: Dfa, rule: str) -> ir.Expression:
        """The automaton's texts without quotes."""
        return scalars.plain_rules(self, dfa, rule)


def _braced(inside: ir.Expression) -> ir.Expression:
    return ir.sequence(ir.Literal("{"), inside, ir.Literal("}"))


def _about(parts: Sequence[Part], name: str) -> list[Part]:
    """The parts that say something of the type."""
    kind = "number" if name == "integer" else name
    return [part for part in parts if any(part.has(key) and KEYWORDS[key][0] == kind for key in KEYWORDS)]


def _plain_type(part: Part) -> str:
    """The type of a part that says nothing else and is of a plain type; "" otherwise."""
    kind = part.schema.get("type")
    said = {keyword for keyword in part.schema if keyword in KEYWORDS}
    return kind if said == {"type"} and isinstance(kind, str) and kind in _SCALARS else ""


def _spoken_of(parts: Sequence[Part]) -> list[str]:
    """The types that the parts' keywords speak of, all if none is."""
    kinds = {KEYWORDS[key][0] for part in parts for key in part.schema.keys() - part.done if key in KEYWORDS} - {""}
    return [name for name in _EVERY if name in kinds] or list(_EVERY)
