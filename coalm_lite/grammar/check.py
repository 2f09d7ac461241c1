"""What is held after parsing: jsonschema's validation of whole values. It is imported when a value is checked first.

`standard` writes OpenAPI's `nullable` as JSON Schema, so that validator and rules mean the same. Nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from coalm_lite.errors import SchemaError
from coalm_lite.types import JsonObject, JsonValue

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

_DATA = frozenset({"const", "enum", "default", "examples"})
_LONGEST_MESSAGE = 200


def standard(schema: JsonValue) -> JsonValue:
    """The schema with `nullable` beside a type as that type or null; itself where there is none."""
    if isinstance(schema, list):
        changed = [standard(item) for item in schema]
        return schema if all(a is b for a, b in zip(changed, schema, strict=True)) else changed
    if not isinstance(schema, dict):
        return schema
    copied = {key: value if key in _DATA else standard(value) for key, value in schema.items()}
    if copied.get("nullable") is True and "type" in copied:
        names = copied["type"] if isinstance(copied["type"], list) else [copied["type"]]
        copied["type"] = [*names, *([] if "null" in names else ["null"])]
    same = all(copied[key] is value for key, value in schema.items())
    return schema if same else copied


def validator(schema: JsonObject) -> Draft202012Validator:
    """jsonschema's validator of the schema, formats asserted."""
    from jsonschema import Draft202012Validator
    from referencing import Registry

    written = standard(schema)
    # an explicit empty registry: the default one would fetch remote references
    return Draft202012Validator(
        written if isinstance(written, dict) else schema,
        registry=Registry(),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def value_check(schema: JsonObject) -> Callable[[JsonValue], bool]:
    """Whether a value fits the schema; a value that cannot be checked does not."""
    found: list[Draft202012Validator] = []

    def fits(value: JsonValue) -> bool:
        if not found:
            found.append(validator(schema))
        try:
            return bool(found[0].is_valid(value))
        except Exception:  # endless references, an overflow in multipleOf: what cannot be checked is not held
            return False

    return fits


def part_check(root: JsonObject, part: JsonObject) -> Callable[[JsonValue], bool]:
    """Whether a value fits a sub-schema of the document `root`."""
    written = standard(part)
    narrowed = validator(root).evolve(schema=written)

    def fits(value: JsonValue) -> bool:
        try:
            return bool(narrowed.is_valid(value))
        except Exception:  # as above; the check of the whole value decides later
            return True

    return fits


def known_formats() -> Iterable[str]:
    """The formats that jsonschema checks here."""
    from jsonschema import Draft202012Validator

    return list(Draft202012Validator.FORMAT_CHECKER.checkers)


def check_against_metaschema(tool: str, schema: JsonObject) -> None:
    """Raises SchemaError for a keyword whose value JSON Schema does not allow."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError as MetaschemaError

    try:
        Draft202012Validator.check_schema(schema)
    except MetaschemaError as error:
        *place, keyword = [str(part) for part in error.absolute_path] or [""]
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in place)
        text = error.message
        problem = text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…"
        raise SchemaError(tool, pointer, keyword, problem, "Use JSON Schema 2020-12.") from error
