"""JSON whose form a ``TypedDict`` gives: checked when it is read, and published as a JSON Schema.

The types are the one place that says what a record holds. What comes out of :func:`checked` has
that form, whoever wrote the file.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from pytest_tflm.errors import RecordError
from pytest_tflm.printable import printable

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_SHOWN = 60


def schema_of(kind: Any, *, title: str, identifier: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``kind``, a TypedDict. Fields that a later version adds
    are allowed; all that are named are required."""
    definitions: dict[str, Any] = {}
    root = _schema(kind, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier,
        "title": title,
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind in _SIMPLE:
        return {"type": _SIMPLE[kind]}
    if kind is Any:
        return {}
    if is_typeddict(kind):
        name = kind.__name__
        if name not in definitions:
            definitions[name] = {}
            hints = _hints(kind)
            definitions[name] = {
                "type": "object",
                "description": " ".join((kind.__doc__ or "").split()),
                "properties": {key: _schema(each, definitions) for key, each in hints.items()},
                "required": list(hints),
            }
        return {"$ref": f"#/$defs/{name}"}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each, definitions) for each in arguments]}
    raise TypeError(f"no JSON for {kind!r}")


def checked(value: Any, kind: Any, where: str) -> Any:
    """``value``, which has the form of ``kind``; fields that it does not name are dropped. Raises
    RecordError that names the place, ``where`` first."""
    if kind is Any:
        return value
    if kind in _SIMPLE:
        if not _is_simple(value, kind):
            raise _wrong(value, _SIMPLE[kind], where)
        return value
    if is_typeddict(kind):
        if not isinstance(value, Mapping):
            raise _wrong(value, "object", where)
        hints = _hints(kind)
        missing = [key for key in hints if key not in value]
        if missing:
            raise RecordError(f"{where} has no field {missing[0]!r}.")
        return {key: checked(value[key], each, f"{where}.{key}") for key, each in hints.items()}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise _wrong(value, "one of " + ", ".join(map(str, arguments)), where)
        return value
    if origin is list:
        if not isinstance(value, list):
            raise _wrong(value, "array", where)
        return [checked(each, arguments[0], f"{where}[{i}]") for i, each in enumerate(value)]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(value, "object", where)
        return {str(key): checked(each, arguments[1], where) for key, each in value.items()}
    for each in arguments:  # a union: None and one other in practice
        try:
            return checked(value, each, where)
        except RecordError as error:
            failure = error
    raise failure


_hints = lru_cache(get_type_hints)  # it evaluates the annotations' text each time


def _is_simple(value: Any, kind: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _wrong(value: Any, wanted: str, where: str) -> RecordError:
    try:
        shown = json.dumps(value)
    except (TypeError, ValueError):
        shown = type(value).__name__
    return RecordError(f"{where} is {printable(shown, _SHOWN)}, not {wanted}.")
