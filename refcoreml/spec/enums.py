"""Values of enums that the schema does not define: protobuf keeps them, and code that compares would take a default."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

#: Layers are checked one by one, each with its own place in the model.
_CHECKED_ALONE = "NeuralNetworkLayer"


def undefined_enum(message: Message) -> str:
    """Say which enum field, in the message or one inside it, has a value that the schema lacks; empty if none has.

    Layers inside the message are left out.
    """
    leading = _leading_to_enums(message.DESCRIPTOR)
    for field, value in message.ListFields():
        if field.name not in leading:
            continue
        if field.enum_type is not None:
            if value not in field.enum_type.values_by_number:
                return f"{field.name} is {value}, which the schema does not define"
            continue
        several: Sequence[Message] = [value] if isinstance(value, Message) else list(value)
        for index, inner in enumerate(several):
            problem = undefined_enum(inner)
            if problem:
                return f"{field.name}.{problem}" if inner is value else f"{field.name}[{index}].{problem}"
    return ""


@cache
def _leading_to_enums(descriptor: Descriptor, around: tuple[str, ...] = ()) -> frozenset[str]:
    """Return the names of a message's fields that are enums, or messages with an enum somewhere inside."""
    if descriptor.name == _CHECKED_ALONE and around:
        return frozenset()
    around = (*around, descriptor.full_name)
    return frozenset(
        field.name
        for field in descriptor.fields
        if field.enum_type is not None
        or (
            field.message_type is not None
            and field.message_type.full_name not in around
            and _leading_to_enums(field.message_type, around)
        )
    )
