"""Fields of messages set from plain Python values: `fill`."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from refcoreml import values
from refcoreml.errors import UsageError
from refcoreml.spec.weights import encode_floats

__all__ = ["fill", "similar"]

#: What error messages write out, as far as it is short.
_WRITTEN = (bool, type(None), bytes, list, tuple, dict)
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2


def fill(message: Any, fields: Mapping[str, Any], where: str) -> Any:
    """Set fields of a message from plain Python values, names checked against the schema, and return the message."""
    known = message.DESCRIPTOR.fields_by_name
    refuse = values.argument(where)
    for key, value in values.mapping(fields, refuse, f"a dict with fields of {message.DESCRIPTOR.name}").items():
        given = values.text(key, refuse)
        name = given if given in known else _camel(given)
        if name not in known:
            raise UsageError(
                f"{message.DESCRIPTOR.name} has no field {values.quoted(given)}",
                where=where,
                remedy=similar(name, list(known)),
            )
        try:
            _assign(message, known[name], value, f"{where}.{name}")
        except UsageError:
            raise
        except Exception as error:  # protobuf asks values to convert themselves, which may raise anything
            problem = f"cannot take {_written(value)}: {values.reason(error)}"
            raise UsageError(problem, where=f"{where}.{name}") from error
    return message


def _assign(message: Any, field: FieldDescriptor, value: Any, where: str) -> None:
    target = getattr(message, field.name)
    if field.message_type is not None and isinstance(target, Message):
        if values.is_a(value, Message):
            target.CopyFrom(value)
        elif field.message_type.name == "WeightParams":
            target.CopyFrom(_weights(value, where))
        else:
            target.SetInParent()
            fill(target, value, where)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        for key, item in values.mapping(value, values.argument(where)).items():
            fill(target[key], item if values.is_a(item, Mapping) else _variant(item), where)
    elif field.message_type is not None:
        for item in values.each(value, values.argument(where)):
            if field.message_type.name == "WeightParams" and not values.is_a(item, Mapping):
                target.add().CopyFrom(_weights(item, where))
            elif values.is_a(item, Message):
                target.add().CopyFrom(item)
            else:
                fill(target.add(), item, where)
    elif hasattr(target, "extend"):
        for item in values.each(
            value, values.argument(where)
        ):  # not extend, which forgets in protobuf 4.25.0 that an item before the last was refused
            target.append(_plain(field, item, where))
    else:
        setattr(message, field.name, _plain(field, value, where))


def _weights(value: Any, where: str) -> Message:
    if values.is_a(value, Message):
        return cast(Message, value)
    array = values.array(value, values.argument(where))
    return encode_floats(array if values.is_a(value, (np.ndarray, np.generic)) else array.astype(np.float32))


def _written(value: Any) -> str:
    """Return a value as it is written in Python, if that is short and harmless."""
    try:
        return values.short(_SHORT.repr(value)) if type(value) in _WRITTEN else values.quoted(value)
    except Exception:  # of an item
        return values.quoted(value)


def _variant(value: Any) -> dict[str, Any]:
    """Return the member that a value is stored in, of messages that hold one value of any type."""
    value = value.item() if values.is_a(value, np.generic) else value
    if values.is_a(value, int) and not isinstance(value, bool):
        return {"intValue" if -(2**31) <= value < 2**31 else "longValue": value}
    members = {bool: "boolValue", float: "doubleValue", str: "stringValue", bytes: "bytesValue"}
    if type(value) not in members:
        raise TypeError("expected a string, an int, a float or a boolean")
    return {members[type(value)]: value}


def _plain(field: FieldDescriptor, value: Any, where: str) -> Any:
    if field.enum_type is not None and values.is_a(value, str):
        known = field.enum_type.values_by_name
        if value not in known:
            raise UsageError(
                f"{field.enum_type.name} has no value {values.quoted(value)}",
                where=where,
                remedy=similar(value, list(known)),
            )
        return known[value].number
    return value.item() if values.is_a(value, np.generic) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def similar(name: str, known: Sequence[str]) -> str:
    """Return in a sentence which known names are similar to one that is not."""
    close = values.similar(name, known, 3) or sorted(known)
    return f"There is {', '.join(close)}"
