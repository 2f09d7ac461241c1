"""A schema taken apart: what must hold together at one place, with references followed and `allOf` opened.

A value of a place must fit all of its parts; where a part offers alternatives, `Flat.choice` has the first such keyword
and its options. Covers `$ref` to pointers, anchors and `$id`s inside the document; nothing is ever fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NoReturn
from urllib.parse import unquote, urldefrag, urljoin

from coalm_lite.errors import SchemaError
from coalm_lite.grammar.keywords import ANNOTATIONS, FORMS, KEYWORDS, How, unknown_problem
from coalm_lite.types import JsonObject, JsonValue

_DATA = frozenset({"const", "enum", "default", "examples", "example"})
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_OPENED = frozenset({"$ref", "allOf"})
_FALSE: JsonObject = {"not": {}}  # one object, since parts are told apart by their schemas' identity
_DRAFTS = ("json-schema.org/draft", "json-schema.org/schema")


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A sub-schema, where it stands, and which of its keywords are dealt with already. Compared by identity."""

    schema: JsonObject
    pointer: str
    base: str
    done: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[int, frozenset[str]]:
        """What tells this part from others of the same document."""
        return id(self.schema), self.done

    def get(self, keyword: str) -> JsonValue:
        """The keyword's value; None too if it has none or is dealt with."""
        return None if keyword in self.done else self.schema.get(keyword)

    def has(self, keyword: str) -> bool:
        return keyword in self.schema and keyword not in self.done

    @property
    def allows_nothing(self) -> bool:
        """Whether it is `false`, or says as much."""
        return self.schema is _FALSE or self.get("not") in ({}, True)

    @property
    def asserts(self) -> bool:
        """Whether anything is left to hold."""
        return any(keyword in KEYWORDS for keyword in self.schema.keys() - self.done)


@dataclass(frozen=True, slots=True)
class Held:
    """How one keyword at one place of a tool's schema is held; `note` says more where there is more to say."""

    tool: str
    pointer: str
    keyword: str
    how: How
    note: str = ""


@dataclass(slots=True)
class Flat:
    """Parts without references and `allOf`; `choice`: the parts' first keyword with alternatives, and these."""

    parts: list[Part] = field(default_factory=list)
    choice: tuple[Part, str, list[JsonValue]] | None = None
    impossible: tuple[str, str] | None = None


class Document:
    """A whole schema: finds what references mean, checks the form of keywords, keeps how each is held."""

    def __init__(self, schema: JsonObject, name: str) -> None:
        self.name = name
        self.held: dict[tuple[str, str], Held] = {}
        self._resources: dict[str, Part] = {}
        self._anchors: dict[tuple[str, str], Part] = {}
        own_id = schema.get("$id")
        self.root = Part(schema, "", own_id if isinstance(own_id, str) else "")
        self._resources[""] = self.root
        for part in _schemas(self.root):
            self._note_names(part)

    def _note_names(self, part: Part) -> None:
        if isinstance(part.schema.get("$id"), str):
            self._resources.setdefault(part.base, part)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(name := part.schema.get(keyword), str):
                self._anchors[part.base, name] = part

    def refuse(self, pointer: str, keyword: str, problem: str, hint: str = "") -> NoReturn:
        raise SchemaError(self.name, pointer, keyword, problem, hint)

    def hold(self, part: Part, keyword: str, how: How, note: str = "") -> None:
        """Notes how a keyword is held; "grammar" is what is assumed first and changes nothing noted already."""
        key = (part.pointer, keyword)
        if key not in self.held or how != "grammar":
            self.held[key] = Held(self.name, part.pointer, keyword, how, note)

    def part(self, schema: JsonValue, parent: Part, *steps: str) -> Part | None:
        """The part of a schema at these steps under another; None for `true`."""
        pointer = parent.pointer + "".join("/" + _escaped(step) for step in steps)
        if schema is False:
            return Part(_FALSE, pointer, parent.base)
        if not isinstance(schema, dict):
            return None
        own_id = schema.get("$id")
        return Part(schema, pointer, urljoin(parent.base, own_id) if isinstance(own_id, str) else parent.base)

    def check_form(self, part: Part) -> None:
        """Refuses a keyword that is unknown and dangerous or of the wrong form; notes how the others are held."""
        for keyword, value in part.schema.items():
            if keyword in KEYWORDS:
                _, form, how = KEYWORDS[keyword]
                fits, hint = FORMS[form]
                if not fits(value):
                    self._refuse_form(part, keyword, value, form, hint)
                self.hold(part, keyword, how)
                continue
            problem, hint = ("", "") if keyword in ANNOTATIONS else unknown_problem(keyword)
            if problem:
                self.refuse(part.pointer, keyword, problem, hint)
            if keyword == "$schema" and not any(draft in str(value) for draft in _DRAFTS):
                self.refuse(part.pointer, keyword, f"{value!r} is no known vocabulary", "Leave it out.")
            self.hold(part, keyword, "annotation")

    def _refuse_form(self, part: Part, keyword: str, value: JsonValue, form: str, hint: str) -> NoReturn:
        """Where one of several schemas is wrong, its own place is named."""
        if form in ("a map of schemas", "a list of schemas") and value and isinstance(value, (dict, list)):
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            for step, entry in entries:
                if not isinstance(entry, (dict, bool)):
                    pointer = f"{part.pointer}/{keyword}/{_escaped(str(step))}"
                    self.refuse(pointer, keyword, f"{entry!r} is not a schema", FORMS["a schema"][1])
        shown = repr(value) if len(repr(value)) < 80 else repr(value)[:80] + "…"
        self.refuse(part.pointer, keyword, f"{shown} is not {form}", hint)

    def target(self, part: Part, reference: str) -> Part | None:
        """The part that a reference means; None where that is `true`. Refused if it is outside the document."""
        place, fragment = urldefrag(urljoin(part.base, reference) if not reference.startswith("#") else reference)
        resource = self._resources.get(place or part.base)
        fragment = unquote(fragment)
        if resource is not None and (not fragment or fragment.startswith("/")):
            return self._walked(resource, fragment, part, reference)
        anchored = self._anchors.get((place or part.base, fragment))
        if anchored is None:
            self._refuse_reference(part, reference)
        return anchored

    def _walked(self, resource: Part, fragment: str, part: Part, reference: str) -> Part | None:
        found: JsonValue = resource.schema
        steps = [step.replace("~1", "/").replace("~0", "~") for step in fragment.split("/")[1:]]
        taken: list[str] = []
        for step in steps:
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            else:
                self._refuse_reference(part, reference)
            taken.append(step)
        if not isinstance(found, (dict, bool)):
            self._refuse_reference(part, reference)
        return self.part(found, resource, *taken) if taken else resource

    def _refuse_reference(self, part: Part, reference: str) -> NoReturn:
        problem = f"{reference!r} leads to no schema inside the document"
        self.refuse(part.pointer, "$ref", problem, "Put the definition under $defs; none is fetched.")

    def flat(self, parts: tuple[Part, ...]) -> Flat:
        """The parts with references followed and `allOf` opened."""
        flat = Flat()
        for part in parts:
            self._open(part, flat, frozenset())
        return flat

    def _open(self, part: Part, flat: Flat, path: frozenset[int]) -> None:
        if id(part.schema) in path:
            self.refuse(part.pointer, "$ref", "refers to itself", "Put a property or an item between the two.")
        self.check_form(part)
        if part.allows_nothing:
            flat.impossible = flat.impossible or (part.pointer, "false")
        opened = replace(part, done=part.done | (_OPENED & part.schema.keys()))
        if opened.asserts and all(opened.key != other.key for other in flat.parts):
            flat.parts.append(opened)
        for child in self._joined(part):
            if child is not None:
                self._open(child, flat, path | {id(part.schema)})
        for keyword in ("anyOf", "oneOf"):
            if flat.choice is None and isinstance(options := part.get(keyword), list):
                flat.choice = (opened, keyword, options)

    def _joined(self, part: Part) -> Iterator[Part | None]:
        """What must hold beside the part itself."""
        if isinstance(reference := part.get("$ref"), str):
            yield self.target(part, reference)
        every = part.get("allOf")
        for index, schema in enumerate(every if isinstance(every, list) else ()):
            yield self.part(schema, part, "allOf", str(index))


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _schemas(root: Part) -> Iterator[Part]:
    """Every object of the document that may be a schema, with the base of its references."""
    waiting: list[tuple[JsonValue, str, str, bool]] = [(root.schema, "", "", False)]
    while waiting:
        node, pointer, base, is_map = waiting.pop()
        if isinstance(node, list):
            waiting.extend((item, f"{pointer}/{at}", base, False) for at, item in enumerate(node))
        elif isinstance(node, dict):
            if not is_map:
                own_id = node.get("$id")
                base = urljoin(base, own_id) if isinstance(own_id, str) else base
                yield Part(node, pointer, base)
            for key, value in node.items():
                if is_map or key not in _DATA:
                    waiting.append((value, f"{pointer}/{_escaped(key)}", base, not is_map and key in _MAPS))
