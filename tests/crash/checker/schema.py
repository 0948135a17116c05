"""Whether a JSON value has the shape of a record of `schemas/`: the JSON of our outputs is the Avro record's, field by field,
with optional values bare and bytes as base64."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"

# Path and value -> what is wrong, or None.
Check = Callable[[str, object], str | None]

_PRIMITIVES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,), "int": (int,), "long": (int,), "float": (int, float), "double": (int, float),
    "string": (str,), "bytes": (str,), "null": (type(None),),
}


def check_of(record: str, version: int = 1) -> Check:
    """The check for values of this record."""
    text = (SCHEMAS / record / f"v{version}.avsc").read_text()
    return _compile(json.loads(text), {})


def _compile(schema: object, named: dict[str, Check]) -> Check:
    if isinstance(schema, list):
        return _union([_compile(branch, named) for branch in schema if branch != "null"], "null" in schema)
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return _primitive(schema)
        # A name may be used inside its own record, so it is looked up when a value comes.
        short = schema.rsplit(".", 1)[-1]
        return lambda path, value: named[short](path, value)
    assert isinstance(schema, dict)
    match schema["type"]:
        case "record":
            return _record(schema, named)
        case "enum":
            named[schema["name"]] = check = _symbols(frozenset(schema["symbols"]))
            return check
        case "array":
            return _items(_compile(schema["items"], named), list)
        case "map":
            return _items(_compile(schema["values"], named), dict)
        case inner:
            return _compile(inner, named)


def _primitive(name: str) -> Check:
    kinds, is_number = _PRIMITIVES[name], name not in ("boolean", "string", "bytes", "null")

    def check(path: str, value: object) -> str | None:
        if isinstance(value, kinds) and not (is_number and isinstance(value, bool)):
            return None
        return f"{path} is no {name}"

    return check


def _symbols(symbols: frozenset[str]) -> Check:
    return lambda path, value: None if value in symbols else f"{path} is not a symbol of its enum"


def _union(branches: list[Check], nullable: bool) -> Check:
    def check(path: str, value: object) -> str | None:
        if value is None:
            return None if nullable else f"{path} is null"
        wrong = None
        for branch in branches:
            wrong = branch(path, value)
            if wrong is None:
                return None
        return wrong or f"{path} is not null"

    return check


def _items(of_item: Check, kind: type) -> Check:
    def check(path: str, value: object) -> str | None:
        if not isinstance(value, kind):
            return f"{path} is no {kind.__name__}"
        items = value.values() if isinstance(value, dict) else value  # type: ignore[attr-defined]
        return next((wrong for item in items if (wrong := of_item(f"{path}[]", item))), None)

    return check


def _record(schema: dict[str, object], named: dict[str, Check]) -> Check:
    fields: dict[str, Check] = {}

    def check(path: str, value: object) -> str | None:
        if not isinstance(value, dict):
            return f"{path} is no record"
        if value.keys() != fields.keys():
            return f"{path} has other fields: {sorted(value.keys() ^ fields.keys())}"
        for name, of_field in fields.items():
            wrong = of_field(f"{path}.{name}", value[name])
            if wrong:
                return wrong
        return None

    named[str(schema["name"])] = check
    for field in schema["fields"]:  # type: ignore[attr-defined]
        fields[field["name"]] = _compile(field["type"], named)
    return check
